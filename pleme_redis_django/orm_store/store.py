"""OrmJobStore: the JobStore of any model that inherits from AbstractJob."""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, Protocol, cast
from uuid import UUID

from django.db import DataError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.conf.retention import retention_policy
from pleme_redis_django.exceptions import JobNotFound, LockedJobs
from pleme_redis_django.jobs.interface.batch_store import BatchJobStore
from pleme_redis_django.jobs.interface.endings import Ending, GivenBack
from pleme_redis_django.jobs.interface.job import AnyJob, JobClaim, QueuedJob
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.interface.store import (
    ORPHANED_AFTER_SECONDS,
    ORPHANS_LIMIT,
    HeldRow,
    Outlook,
    Pruned,
)
from pleme_redis_django.middleware.loading import reads_metadata
from pleme_redis_django.models.job import model_label
from pleme_redis_django.orm_store.claim_position import ClaimPosition
from pleme_redis_django.orm_store.claim_request import ClaimRequest
from pleme_redis_django.orm_store.claims import claim_jobs, free_unique_slots
from pleme_redis_django.orm_store.connection import reconnecting, sqlstate_of, writing
from pleme_redis_django.orm_store.dialects.dialect import Dialect, dialect_of
from pleme_redis_django.orm_store.dialects.postgresql.session import database_time, round_trip_seconds
from pleme_redis_django.orm_store.endings import finish_jobs
from pleme_redis_django.orm_store.expiry import end_expired_jobs
from pleme_redis_django.orm_store.fairness.rotations import Rotations
from pleme_redis_django.orm_store.flow.admission import Claimant
from pleme_redis_django.orm_store.flow.control import FlowControl
from pleme_redis_django.orm_store.flow.gates import Limited
from pleme_redis_django.orm_store.horizon import Horizon
from pleme_redis_django.orm_store.job_table import EVERY_JOB, EVERY_SUSPECT, JobTable, M, claimed_fields
from pleme_redis_django.orm_store.known_pauses import KnownPauses
from pleme_redis_django.orm_store.outlook import count_unserved, look_ahead, promote_due_jobs
from pleme_redis_django.orm_store.retention import Pruner
from pleme_redis_django.orm_store.row_update import RowUpdate
from pleme_redis_django.orm_store.unreadable_rows import end_unreadable_jobs

# How often a claim looks for other jobs in place of those that have stepped back.
ADMISSION_ROUNDS = 5


class EndListener(Protocol):
    """Who is told of endings once they are written."""

    def add(self, endings: Sequence[Ending]) -> None:
        """Take endings; it does not wait for anything, and raises nothing."""


# The Django plugin gives the model its fields only after mypy has compared it with the protocol.
class OrmJobStore(BatchJobStore[M], Generic[M]):  # type: ignore[type-var]  # as above
    """Jobs as rows of ``model``, on the database alias ``using``; every method from any thread."""

    supports_fairness = True

    def __init__(self, model: type[M], *, using: str = "default", notices: EndListener | None = None) -> None:
        self.model = model
        self._notices = notices
        self.using = using
        self._table = JobTable(
            model, using, loads_metadata=bool(get_settings().middleware) and reads_metadata()
        )
        self._pauses = KnownPauses(self._table)
        self._flow = FlowControl(self._dialect, self._table)
        self._passed_over: dict[JobSelection, bool] = {}
        self._positions: defaultdict[JobSelection, ClaimPosition] = defaultdict(self._new_position)
        self._horizons: defaultdict[JobSelection, Horizon] = defaultdict(self._new_horizon)
        self._rotations = Rotations(self._table)
        self._has_given_back = False
        """Whether jobs have come back since the last claim or look began: horizons and positions are the claimer's."""

    @property
    def _dialect(self) -> Dialect:
        return dialect_of(self._table)

    @property
    def supports_limits(self) -> bool:
        return True

    def claim_jobs(self, worker_id: str, limit: int, selection: JobSelection) -> Sequence[M]:
        with reconnecting(self.using):
            try:
                jobs, passed_over = self._claim_admitted(worker_id, limit, selection)
                # A look ahead tells when the tokens are back that somebody waits for since this claim.
                self._passed_over[selection] = passed_over or self._flow.take_note_of_waiting()
                return jobs
            except DataError as error:
                if _is_of_loading(error):
                    end_unreadable_jobs(self._table)
                raise

    def _claim(self, request: ClaimRequest) -> list[M]:
        return claim_jobs(self._dialect, self._table, request, self._rotations.of(request.selection))

    def hear_of(self, selection: JobSelection, products: Collection[str]) -> Collection[str]:
        with reconnecting(self.using):
            return self._rotations.hear_of(selection, products)

    def _claim_admitted(
        self, worker_id: str, limit: int, selection: JobSelection
    ) -> tuple[Sequence[M], bool]:
        """Return claimed jobs that may start, and whether there may be more in place of those that stepped back."""
        jobs: list[M] = []
        for _round in range(ADMISSION_ROUNDS):
            wanted = limit - len(jobs)
            request = self._request(worker_id, wanted, selection)
            claimed = self._claim(request)
            if not claimed and self._learns_why():
                request = self._request(worker_id, wanted, selection)
                claimed = self._claim(request)
            claimant = Claimant(worker_id=worker_id, selection=selection, pauses=request.pauses)
            admitted = self._flow.admit(claimant, claimed) if claimed else claimed
            if request.keeps_slots:
                free_unique_slots(self._table, worker_id, admitted)
            if not jobs and len(admitted) == len(claimed):
                return admitted, False  # As ever, where there are no limits.
            jobs += admitted
            if len(admitted) == len(claimed) or len(jobs) == limit:
                return jobs, False
        return jobs, True

    def _request(self, worker_id: str, limit: int, selection: JobSelection) -> ClaimRequest:
        self._heed_given_back()
        limits = self._flow.known.current()
        return ClaimRequest(
            worker_id=worker_id,
            limit=limit,
            selection=selection,
            pauses=self._pauses.current(),
            position=self._positions[selection],
            horizon=self._horizons[selection],
            is_limited=bool(limits.rows),
            keeps_slots=bool(limits),
        )

    def _heed_given_back(self) -> None:
        """Look from the head on for what this process has given back: it is due as it was, before all horizons."""
        if self._has_given_back:
            self._has_given_back = False  # First: what comes back from now on is for the next look.
            for horizon in list(self._horizons.values()):  # Another thread may let go of all of them.
                horizon.look_again()
            for position in self._positions.values():
                position.look_again()

    def _learns_why(self) -> bool:
        """Return whether a claim may have got nothing because of a pause or a limit that was not known here."""
        has_learned = self._pauses.read_again()
        return (self._pauses.saw_limits and self._flow.known.read_first()) or has_learned

    def claim_next_job(self, worker_id: str) -> M | None:
        self._horizons.pop(EVERY_JOB, None)  # None says that nothing is ready anywhere.
        return super().claim_next_job(worker_id)

    def look_again_in(self, selection: JobSelection) -> float | None:
        is_due = self._has_given_back or self._passed_over.get(selection)
        return 0.0 if is_due else self._horizons[selection].everything_in()

    def held_back(self) -> Hashable | None:
        with reconnecting(self.using):
            return self._pauses.current() or None

    def load_job(self, job_id: UUID) -> M:
        with reconnecting(self.using):
            job = self._table.rows().filter(id=job_id, deleted_at=None).first()
        if job is None:
            raise JobNotFound(job_id)
        return job

    def is_job_deleted(self, job_id: UUID) -> bool:
        with reconnecting(self.using):
            return not self._table.rows().filter(id=job_id, deleted_at=None).exists()

    def mark_job_running(self, job_id: UUID, *, claim: JobClaim) -> bool:
        with writing(self.using):
            row = self._table.running_under(job_id, claim)
            return (
                bool(row.filter(started_at=None).update(started_at=Now(), updated_at=Now())) or row.exists()
            )

    def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]:
        with reconnecting(self.using):
            accepted = finish_jobs(self._dialect, self._table, endings)
        if any(isinstance(ending, GivenBack) and not ending.delay_seconds for ending in endings):
            self._has_given_back = True
        if self._notices is not None:
            self._notices.add(endings)
        return accepted

    def release_after(self, jobs: Sequence[AnyJob]) -> Collection[str]:
        if not self._flow.concerns(cast(Sequence[Limited], jobs)):
            return ()
        with reconnecting(self.using):
            released = self._flow.ended(cast(Sequence[Limited], jobs))
        if released:
            self._horizons.clear()  # They are due earlier than all that has become ready by itself.
        return released

    def released_by_claims(self) -> Collection[str]:
        return self._flow.take_let_in()

    def release_overlooked(self, *, at_once: bool = False) -> Collection[str]:
        with reconnecting(self.using):
            return self._flow.sweep(at_once=at_once)

    def released_besides(self) -> Collection[str]:
        return self._flow.take_let_in_besides()

    def look_after_limits(self) -> Collection[str]:
        with reconnecting(self.using):
            return self._flow.look_after_limits()

    def update_progress(self, job_id: UUID, progress: Mapping[str, Any], *, claim: JobClaim) -> bool:
        with writing(self.using):
            row = self._table.running_under(job_id, claim)
            return bool(row.update(progress=dict(progress), updated_at=Now()))

    def record_progress(self, reports: Sequence[tuple[UUID, JobClaim, Mapping[str, Any]]]) -> None:
        locked = self._locked([job_id for job_id, _claim, _report in reports])
        if free := [report for report in reports if report[0] not in locked]:
            self._update_rows(
                RowUpdate(
                    rows=self._table.running_under(job_id, claim),
                    values={"progress": dict(progress), "updated_at": Now()},
                )
                for job_id, claim, progress in free
            )
        if locked:
            raise LockedJobs(locked)

    def record_starts(self, starts: Sequence[tuple[UUID, JobClaim, float]]) -> None:
        locked = self._locked([job_id for job_id, _claim, _seconds in starts])
        self._update_rows(
            RowUpdate(
                rows=self._table.running_under(job_id, claim).filter(started_at=None),
                values={"started_at": Now() - timedelta(seconds=seconds), "updated_at": Now()},
            )
            for job_id, claim, seconds in starts
            if job_id not in locked
        )
        if locked:
            raise LockedJobs(locked)

    def _update_rows(self, updates: Iterable[RowUpdate]) -> None:
        with reconnecting(self.using):
            self._dialect.prepared_updates(self.using, list(updates))()

    def _locked(self, job_ids: Sequence[UUID]) -> set[UUID]:
        """Return whose rows others hold: nobody waits for a handler that holds its own."""
        with reconnecting(self.using):
            return self._dialect.locked_jobs(self._table, job_ids)

    def find_orphaned_jobs(self) -> Sequence[QueuedJob]:
        waited = Now() - timedelta(seconds=ORPHANED_AFTER_SECONDS)
        with reconnecting(self.using):
            rows = self._ready(EVERY_JOB).filter(updated_at__lt=waited)
            return [_hint(*row) for row in rows.order_by("id").values_list(*_HINT_FIELDS)[:ORPHANS_LIMIT]]

    def prune_jobs(self, limit: int) -> Pruned:
        return self._pruner.prune(limit)

    @functools.cached_property
    def _pruner(self) -> Pruner[M]:
        return Pruner(self._table, retention_policy(get_settings().retention))

    def find_stale_jobs(self, threshold_seconds: float) -> Sequence[M]:
        rows = self._held()
        if threshold_seconds:
            rows = rows.filter(updated_at__lt=Now() - timedelta(seconds=threshold_seconds))
        return self._loaded(rows)

    def find_jobs_of(self, worker_ids: Sequence[str]) -> Sequence[M]:
        return self._loaded(self._held().filter(worker_id__in=worker_ids))

    def _loaded(self, held: QuerySet[M]) -> list[M]:
        """Load what workers hold; a row that nobody can load ends, and holds up the rescue of no other."""
        with reconnecting(self.using):
            try:
                return list(held)
            except DataError as error:
                if _is_of_loading(error) and end_unreadable_jobs(self._table, held):
                    return list(held)
                raise

    def held_jobs(self, worker_id: str) -> Sequence[HeldRow]:
        rows = self._table.running().filter(worker_id=worker_id)
        with reconnecting(self.using):
            return [
                HeldRow(
                    job_id=job_id,
                    claim=JobClaim(worker_id=worker_id, attempt=attempt),
                    cancel_requested=requested_at is not None,
                    deleted=deleted_at is not None,
                )
                for job_id, attempt, requested_at, deleted_at in rows.values_list(*_HELD_FIELDS)
            ]

    def count_claimable_jobs(self) -> int:
        with reconnecting(self.using):
            return self._ready(EVERY_JOB).count() + self._ready(EVERY_SUSPECT).count()

    def look_ahead(self, selection: JobSelection) -> Outlook:
        self._heed_given_back()
        with reconnecting(self.using), transaction.atomic(using=self.using):
            self._pauses.read_again()
            self._passed_over.pop(selection, None)
            outlook = look_ahead(
                self._dialect, self._table, selection, self._pauses.last_read, self._horizons[selection]
            )
            if (tokens_in := self._flow.release_in()) is None:
                return outlook
            due_in = outlook.due_in_seconds
            soonest = tokens_in if due_in is None else min(due_in, tokens_in)
            return dataclasses.replace(outlook, due_in_seconds=soonest)

    def count_unserved(self, known_types: frozenset[str]) -> Mapping[str, int]:
        with reconnecting(self.using):
            return count_unserved(self._table, known_types, self._pauses.last_read)

    def end_expired_jobs(self, limit: int) -> int:
        with reconnecting(self.using):
            return end_expired_jobs(self._dialect, self._table, limit)

    def promote_due_jobs(self, limit: int) -> int:
        with reconnecting(self.using):
            promoted = promote_due_jobs(self._dialect, self._table, limit)
            if not self._flow.known.last_read.has_rates:
                return promoted
            through = self._flow.let_through()
            if through.queue_names:
                self._horizons.clear()  # They are due earlier than all that has become ready by itself.
            # A gate that was due and let nobody through says when to look again: that counts as one.
            return promoted + max(len(through.queue_names), min(through.gates, 1))

    def __repr__(self) -> str:
        return f"OrmJobStore({model_label(self.model)}, using={self.using!r})"

    def _new_position(self) -> ClaimPosition:
        return ClaimPosition(
            round_trip_seconds=functools.partial(round_trip_seconds, self.using), lets_in=self._flow.lets_in
        )

    def _new_horizon(self) -> Horizon:
        return Horizon(functools.partial(database_time, self.using), lets_in=self._flow.lets_in)

    def _ready(self, selection: JobSelection) -> QuerySet[M]:
        self._pauses.read_again()
        return self._table.ready(selection, self._pauses.last_read)

    def _held(self) -> QuerySet[M]:
        fields = (*_RESCUED_FIELDS, *claimed_fields(self.model))
        return self._table.running().only(*fields).order_by("id")


# Of a job that its worker did not end, beside what a claim reads.
_RESCUED_FIELDS = ("status", "worker_id", "started_at", "cancel_requested_at", "unseen_deaths")
_HELD_FIELDS = ("id", "attempt", "cancel_requested_at", "deleted_at")
_HINT_FIELDS = ("id", "product", "job_type", "retry_count", "max_retries", "created_at")


def _is_of_loading(error: DataError) -> bool:
    """Whether it is psycopg's, of a row that cannot be loaded: the database itself would give an SQLSTATE."""
    return not sqlstate_of(error)


def _hint(job_id: UUID, product: str, job_type: str, retries: int, max_retries: int, at: Any) -> QueuedJob:
    return QueuedJob(
        job_id=job_id,
        product=product,
        job_type=job_type,
        retry_count=retries,
        max_retries=max_retries,
        enqueued_at=at,
    )
