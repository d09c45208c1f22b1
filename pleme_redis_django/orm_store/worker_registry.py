"""OrmWorkerRegistry: worker processes and elections as rows, by the database's clock."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.workers import DEFAULT_LEASE_SECONDS, WorkerDescription, WorkerStanding
from pleme_redis_django.models.election import Election
from pleme_redis_django.models.worker_process import DRAIN_REASON_LENGTH, WorkerProcess
from pleme_redis_django.orm_store.connection import writing
from pleme_redis_django.orm_store.dialects.postgresql.session import STATEMENT_SECONDS

# How long a dead worker's id is asked for again: a claim that was under way when it died may
# be committed after its jobs were rescued. After that the row is deleted.
REMEMBER_DEAD = timedelta(days=1)
# What the column Election.role holds; a role may name a model, whose label may be longer.
ROLE_MAX_LENGTH = 100


class OrmWorkerRegistry:
    """The WorkerRegistry of the engine, on the tables WorkerProcess and Election."""

    def __init__(self, *, using: str = "default") -> None:
        self.using = using
        self._lease = timedelta(seconds=DEFAULT_LEASE_SECONDS)

    def register(self, worker: WorkerDescription) -> None:
        self._lease = timedelta(seconds=worker.lease_seconds)
        with writing(self.using):
            self._insert(worker)

    def heartbeat(self, worker_id: str, running: int, async_running: int = 0) -> WorkerStanding:
        beat = {
            "heartbeat_at": Now(),
            "lease_until": Now() + self._lease,
            "running": running,
            "async_running": async_running,
        }
        # An answer after the end of the lease is of no use.
        bound = min(STATEMENT_SECONDS, self._lease.total_seconds() / 4)
        with writing(self.using, statement_seconds=bound):
            alive = self._workers().filter(id=worker_id, died_at=None)
            # Two updates only for one that drains: every other heartbeat is one statement.
            if alive.filter(drain_requested_at=None).update(**beat):
                return WorkerStanding.ALIVE
            return WorkerStanding.DRAINING if alive.update(**beat) else WorkerStanding.DEAD

    def deregister(self, worker_id: str) -> None:
        with writing(self.using):
            self._workers().filter(id=worker_id).delete()
            self._free_roles_of([worker_id])

    def note_draining(self, worker_id: str, reason: str = "") -> None:
        with writing(self.using):
            self._workers().filter(id=worker_id, draining_since=None).update(
                draining_since=Now(), drain_reason=reason[:DRAIN_REASON_LENGTH]
            )

    def draining_among(self, worker_ids: Sequence[str]) -> frozenset[str]:
        draining = self._workers().filter(id__in=worker_ids, draining_since__isnull=False)
        with writing(self.using):
            return frozenset(str(worker_id) for worker_id in draining.values_list("id", flat=True))

    def declare_dead(self, worker_ids: Sequence[str]) -> None:
        with writing(self.using):
            self._workers().filter(id__in=worker_ids, died_at=None).update(died_at=Now())
            self._free_roles_of(worker_ids)

    def forget(self, worker_ids: Sequence[str]) -> None:
        long_ago = Now() - REMEMBER_DEAD
        with writing(self.using):
            self._workers().filter(id__in=worker_ids, died_at__lt=long_ago).delete()

    def sweep(self) -> Sequence[str]:
        with writing(self.using):
            return self._sweep()

    def elect(self, role: str, worker_id: str, term_seconds: float) -> bool:
        with writing(self.using):
            return self._elect(_stored_role(role), worker_id, timedelta(seconds=term_seconds))

    def _insert(self, worker: WorkerDescription) -> None:
        row = WorkerProcess(
            id=worker.worker_id,
            pool=worker.pool,
            host=worker.host,
            pid=worker.pid,
            queues=list(worker.queues),
            job_types=None if worker.job_types is None else sorted(worker.job_types),
            product=worker.product or "",
            declared_schedules=[[one.product, one.name, one.digest] for one in worker.declared_schedules],
            slots=worker.slots,
            async_slots=worker.async_slots,
            release=worker.release[:100],
            is_quarantine=worker.is_quarantine,
            lease_until=Now() + timedelta(seconds=worker.lease_seconds),
        )
        # A repeated call whose first reply was lost finds its own row, and that is all right.
        self._workers().bulk_create([row], ignore_conflicts=True)

    def _sweep(self) -> list[str]:
        with transaction.atomic(using=self.using):
            found_now = self._workers().filter(died_at=None, lease_until__lt=Now()).update(died_at=Now())
            ids = self._workers().filter(died_at__isnull=False).values_list("id", flat=True)
            dead = [str(worker_id) for worker_id in ids]
            if found_now:
                self._free_roles_of(dead)
            return dead

    def _elect(self, role: str, worker_id: str, term: timedelta) -> bool:
        rows = Election._base_manager.using(self.using)
        free = Q(holder=worker_id) | Q(expires_at__lt=Now())
        if rows.filter(free, role=role).update(holder=worker_id, expires_at=Now() + term):
            return True
        if rows.filter(role=role).exists():
            return False
        first = Election(role=role, holder=worker_id, expires_at=Now() + term)
        rows.bulk_create([first], ignore_conflicts=True)
        return rows.filter(role=role, holder=worker_id).exists()

    def _free_roles_of(self, worker_ids: Sequence[str]) -> None:
        Election._base_manager.using(self.using).filter(holder__in=worker_ids).delete()

    def _workers(self) -> QuerySet[WorkerProcess]:
        return WorkerProcess._base_manager.using(self.using)


def _stored_role(role: str) -> str:
    if len(role) <= ROLE_MAX_LENGTH:
        return role
    digest = hashlib.blake2b(role.encode(), digest_size=16).hexdigest()
    return f"{role[: ROLE_MAX_LENGTH - len(digest) - 1]}:{digest}"
