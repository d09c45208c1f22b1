"""Locks of gates: two that meet the same gates in opposite orders never wait for each other, and nothing is left."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections, transaction
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.endings import Completed, GivenBack
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import FlowGate, FlowLimit, Job
from pleme_redis_django.operations import set_limit
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.flow.limits import MANY_KEYS
from tests.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 200
AT_ONCE = 12
# Reached only by a deadlock that the database does not see.
DEADLINE_SECONDS = 60.0
LONGEST_HOLD_SECONDS = 0.02
KEYS = ("a", "b", "c", "d", "e", "f")
TYPES = ("pay", "mail")
# Of each of them some are full at nearly every claim.
LIMITS: dict[str, dict[str, int]] = {
    "concurrency_key": dict.fromkeys(KEYS, 1),
    "job_type": dict.fromkeys(TYPES, 3),
    "queue_name": {"up": 3, "down": 3},
    "product": {"default": 4},
}
KINDS = {"concurrency_key": "key", "job_type": "type", "queue_name": "queue", "product": "product"}


class Claimers:
    """Two that claim at the same moment, look together whether the limits are kept, and end what they run."""

    def __init__(self) -> None:
        self.started: dict[str, list[Any]] = {"up": [], "down": []}
        self.errors: list[BaseException] = []
        self._together = threading.Barrier(2, timeout=DEADLINE_SECONDS)
        self._all_started = threading.Barrier(
            2, action=self._see_that_limits_are_kept, timeout=DEADLINE_SECONDS
        )

    def run(self) -> None:
        """Run both until each has made its rounds; both are held up at one lock of several again and again."""
        chosen = random.Random(1)
        threads = [threading.Thread(target=self._work, args=(queue_name,)) for queue_name in self.started]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            hold_some_locks(chosen)
        if self.errors:
            raise self.errors[0]

    def _work(self, queue_name: str) -> None:
        store: OrmJobStore[Any] = OrmJobStore(Job)
        selection, worker_id = JobSelection(queue_names=(queue_name,)), str(uuid4())
        try:
            for _ in range(ROUNDS):
                self._together.wait()
                running = self.started[queue_name] = list(store.claim_jobs(worker_id, AT_ONCE, selection))
                self._all_started.wait()
                end(store, running)
        except BaseException as error:
            self.errors.append(error)
            self._together.abort()
            self._all_started.abort()
        finally:
            tell_statistics()
            connections.close_all()

    def _see_that_limits_are_kept(self) -> None:
        for column, limits in LIMITS.items():
            run = Counter(getattr(job, column) for running in self.started.values() for job in running)
            over = {name: count for name, count in run.items() if count > limits[name]}
            assert not over, (column, over)


def end(store: OrmJobStore[Any], running: list[Any], attempts: int = 2) -> None:
    """End the last attempt of each; the one before is given back."""
    endings = [
        (GivenBack if job.attempt < attempts else Completed)(job_id=job.id, claim=job.claim)
        for job in running
    ]
    assert all(store.finish_jobs(endings))
    store.release_after(running)


def fill(types: Sequence[str] = TYPES, *, rounds: int = ROUNDS, in_lines: bool = True) -> None:
    """Store limits, and jobs that one of the two meets in the order of the keys, and the other in the opposite one."""
    for column, limits in {**LIMITS, "job_type": dict.fromkeys(types, 3)}.items():
        for name, number in limits.items():
            FlowLimit.objects.create(
                job_model="pleme_redis_django.job",
                kind=KINDS[column],
                name=name,
                source="admin",
                max_running=number,
            )
    for number in range(rounds):
        for queue_name, place in (("up", number), ("down", -1 - number)):
            key = f"line:{place % 5}"
            line = {"order_key": key, "status": "BLOCKED", "blocked_on": f"o:default:{key}"}
            make_job(
                queue_name=queue_name,
                concurrency_key=KEYS[place % len(KEYS)],
                job_type=types[place % len(types)],
                **(line if in_lines else {}),
            )


def hold_some_locks(chosen: random.Random) -> None:
    """Hold a third of the locks of gates until two wait for one, or nobody does for a while."""
    buckets = [bucket for bucket in range(64) if chosen.random() < 1 / 3]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(1886154085, bucket) FROM unnest(%s::int[]) AS bucket", [buckets]
        )
        until = time.monotonic() + LONGEST_HOLD_SECONDS
        while time.monotonic() < until:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
                " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
            )
            if cursor.fetchone() == (2,):
                return


def tell_statistics() -> None:
    """Have the server count at once what has happened to this connection: a deadlock, say."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def test_gates_that_are_met_in_opposite_orders_never_deadlock_and_lose_nobody() -> None:
    fill()
    store: OrmJobStore[Any] = OrmJobStore(Job)
    store.release_overlooked(at_once=True)
    before = deadlocks()
    Claimers().run()
    tell_statistics()
    assert deadlocks() == before
    assert Job.objects.filter(status="COMPLETED").exists()
    while running := list(store.claim_jobs(str(uuid4()), AT_ONCE, JobSelection())):
        end(store, running)
    assert list(Job.objects.exclude(status="COMPLETED").values_list("status", "blocked_on")) == []


def session() -> tuple[dict[str, str], int]:
    """Return every setting of the session, and how many advisory locks it holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings")
        settings = dict(cursor.fetchall())
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        return settings, int(cursor.fetchone()[0])


def test_nothing_is_left_in_the_session_which_may_be_the_poolers() -> None:
    def waiting() -> list[str]:
        return sorted(Job.objects.filter(status="BLOCKED").values_list("blocked_on", flat=True))

    set_limit("key", "place", max_running=1)
    set_limit("key", "token", rate=1, per_seconds=3_600.0, burst=1)
    for _ in range(2):
        make_job(concurrency_key="place")
        make_job(concurrency_key="token")
        make_job(order_key="line", status="BLOCKED", blocked_on="o:default:line")
    for number in range(2 * MANY_KEYS):
        make_job(concurrency_key=f"place:{number}")
    store: OrmJobStore[Any] = OrmJobStore(Job)
    before = session()
    store.release_overlooked(at_once=True)
    running = list(store.claim_jobs(str(uuid4()), 100, JobSelection()))
    assert waiting() == ["k:default:place", "o:default:line", "r:k:default:token"], "parked"
    assert session() == before
    FlowGate.objects.update(full_again_at=Now(), release_at=Now())
    end(store, running, attempts=1)
    store.promote_due_jobs(AT_ONCE)
    assert waiting() == [], "released, given the turn, let through"
    assert session() == before
