"""Ready jobs that a worker may not take, before its own: claims and looks read only what is due later."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from pleme_redis_django import JobStatus, WorkerPool, WorkerPoolConfig
from pleme_redis_django.jobs.interface.endings import Completed, GivenBack
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.operations import pause_queue, resume_queue
from pleme_redis_django.orm_store import OrmJobStore, claim_position, long_look
from tests.jobs.recording import FunctionExecutor
from tests.orm_store.rows_read import blocks_read, rows_read
from tests.rows import make_job
from tests.waiting import wait_until

FOREIGN = 20_000
FEW_ROWS = 60
FEW_BLOCKS = 60
NOOP = "tests.noop"
KNOWN = frozenset({NOOP})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A pool, and the ready jobs before its own that it may not take."""

    selection: JobSelection
    product: str = "default"
    job_type: str = NOOP
    queue_name: str = "default"
    is_paused: bool = False
    paused_product: str | None = None

    def make_backlog(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO pleme_redis_django_job"
                " (id, product, job_type, queue_name, priority, status, parameters, max_retries, run_after)"
                " SELECT gen_random_uuid(), %s, %s, %s, 0, 'QUEUED', '{}', 3, now() - interval '1 hour'"
                " FROM generate_series(1, %s)",
                [self.product, self.job_type, self.queue_name, FOREIGN],
            )
            cursor.execute("ANALYZE pleme_redis_django_job")
            # As the planner decides on a large table: by indexes alone, in their order.
            for way in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
        if self.is_paused:
            pause_queue(self.queue_name, product=self.paused_product)


SITUATIONS = {
    "a type that it does not know": Situation(
        selection=JobSelection(job_types=KNOWN), job_type="tests.unknown"
    ),
    "a type that it does not know in one of its queues": Situation(
        selection=JobSelection(job_types=KNOWN, queue_names=("default", "email")), job_type="tests.unknown"
    ),
    "another product": Situation(selection=JobSelection(product="default"), product="another"),
    "a paused queue": Situation(selection=JobSelection(), queue_name="paused", is_paused=True),
    "a paused product": Situation(
        selection=JobSelection(), product="another", is_paused=True, paused_product="another"
    ),
}
database = pytest.mark.django_db
every_situation = pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())


@pytest.fixture
def soon_everything(every_claim_is_slow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_position, "MAX_SECONDS_WITH_NONE_LET_IN", 1.5)


def store_behind(situation: Situation) -> OrmJobStore[Job]:
    """Return a store that has found out that the backlog is slow to read past."""
    situation.make_backlog()
    store = OrmJobStore(Job)
    store.look_ahead(situation.selection)
    for _ in range(claim_position.SLOW_CLAIMS):
        assert claim(store, situation, 1) == []
    # One that takes long is made in pieces.
    horizon = store._horizons[situation.selection]
    while horizon.read_up_to is not None:
        wait_until(horizon.is_piece_due)
        assert claim(store, situation, 1) == []
    return store


@pytest.fixture
def looks_are_quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the looks from the call on be quick, as those behind a horizon are."""
    return lambda: monkeypatch.setattr(claim_position, "EXPECTED_SECONDS", 60.0)


def claim(store: OrmJobStore[Job], situation: Situation, limit: int = 10) -> list[Any]:
    return [job.id for job in store.claim_jobs(str(uuid4()), limit, situation.selection)]


@database
@pytest.mark.usefixtures("every_claim_is_slow")
@every_situation
def test_a_claim_reads_nothing_of_a_backlog_that_it_may_not_take(situation: Situation) -> None:
    store = store_behind(situation)
    assert rows_read(lambda: claim(store, situation)) < FEW_ROWS
    own = [make_job("default", priority=priority) for priority in (-5, 0, 7, 0)]
    claimed: list[Any] = []
    assert rows_read(lambda: claimed.extend(claim(store, situation, 3))) < FEW_ROWS
    assert claimed == [own[2].id, own[1].id, own[3].id]
    assert claim(store, situation) == [own[0].id]


@database
@pytest.mark.usefixtures("every_claim_is_slow")
@every_situation
def test_a_look_ahead_reads_nothing_of_a_backlog_that_it_may_not_take(situation: Situation) -> None:
    store = store_behind(situation)
    assert rows_read(lambda: store.look_ahead(situation.selection)) < FEW_ROWS
    assert not store.look_ahead(situation.selection).ready
    make_job("default")
    assert store.look_ahead(situation.selection).ready


@database
@pytest.mark.usefixtures("every_claim_is_slow")
@pytest.mark.parametrize("long_seconds", [0.0, 60.0], ids=["in pieces", "at once"])
def test_a_look_reads_nothing_of_jobs_that_have_ended_while_a_snapshot_is_held(
    monkeypatch: pytest.MonkeyPatch, long_seconds: float
) -> None:
    """This very transaction holds one: it keeps every row version that it has made."""
    monkeypatch.setattr(long_look, "LONG_SECONDS", long_seconds)
    situation = Situation(selection=JobSelection())
    situation.make_backlog()
    Job.objects.update(status=JobStatus.COMPLETED)
    store = OrmJobStore(Job)
    assert blocks_read(lambda: claim(store, situation)) > FOREIGN / 100
    for _ in range(claim_position.SLOW_CLAIMS):
        assert claim(store, situation) == []
    assert blocks_read(lambda: claim(store, situation)) < FEW_BLOCKS
    assert blocks_read(lambda: store.look_ahead(situation.selection)) < FEW_BLOCKS
    own = [make_job("default", priority=priority) for priority in (0, -5, 7)]
    claimed: list[Any] = []
    assert blocks_read(lambda: claimed.extend(claim(store, situation))) < FEW_BLOCKS
    assert claimed == [own[2].id, own[0].id, own[1].id]


@database
@pytest.mark.usefixtures("soon_everything")
@every_situation
def test_a_job_that_is_due_before_the_horizon_is_found_by_the_next_look_at_everything(
    situation: Situation, looks_are_quick: Callable[[], None]
) -> None:
    """As one whose priority was changed, or whose transaction took long."""
    store = store_behind(situation)
    looks_are_quick()
    job = make_job("default", priority=-5, run_after=timezone.now() - timedelta(minutes=30))
    found: list[Any] = []

    def is_found() -> bool:
        found.extend(claim(store, situation))
        # A claim that did not see all says so: or else a worker would sleep, and a burst end.
        assert found or store.look_again_in(situation.selection) is not None
        return bool(found)

    wait_until(is_found)
    assert found == [job.id]


@database
@pytest.mark.usefixtures("soon_everything")
@every_situation
def test_a_burst_drains_what_stands_behind_a_backlog_and_the_horizon(
    situation: Situation, looks_are_quick: Callable[[], None]
) -> None:
    store = store_behind(situation)
    # Turned by hand, in this thread alone: the connections of engine threads end with their process.
    pool = WorkerPool(
        WorkerPoolConfig(worker_count=4), None, FunctionExecutor(lambda context: None), store, burst=True
    )
    pool._parts.claimer._desk._selection = situation.selection
    early, own = timezone.now() - timedelta(minutes=30), []
    for priority, count in ((10, 23), (0, 60), (-10, 7)):
        own += [
            Job(product="default", job_type=NOOP, priority=priority, run_after=early) for _ in range(count)
        ]
    assert claim(store, situation) == []
    looks_are_quick()
    Job.objects.bulk_create(own)
    order: list[int] = []
    while not pool._parts.claimer.dry.is_set():
        pool._parts.claimer.turn()
        taken = [held for lane in pool._parts.lanes for held in lane.take_waiting()]
        order += [held.job.priority for held in taken]
        store.finish_jobs([Completed(job_id=one.job.id, claim=one.claim) for one in taken])
        pool._parts.holdings.remove(taken)
    assert order == [job.priority for job in own]
    assert Job.objects.filter(status=JobStatus.QUEUED).count() == FOREIGN


@database
@pytest.mark.usefixtures("every_claim_is_slow")
def test_a_resume_frees_at_once_what_is_due_before_the_horizon() -> None:
    situation = SITUATIONS["a type that it does not know"]
    pause_queue("email")
    job = make_job("default", queue_name="email", run_after=timezone.now() - timedelta(minutes=30))
    store = store_behind(situation)
    resume_queue("email")
    assert store.look_ahead(situation.selection).ready
    assert claim(store, situation) == [job.id]


@database
@pytest.mark.usefixtures("every_claim_is_slow")
@pytest.mark.parametrize("looks_ahead", [False, True])
def test_a_job_that_is_given_back_is_found_at_once(looks_ahead: bool) -> None:
    """It is due as it was, before the horizon."""
    situation = SITUATIONS["a type that it does not know"]
    make_job("default", run_after=timezone.now() - timedelta(hours=2))
    (lost,) = OrmJobStore(Job).claim_jobs(str(uuid4()), 1, situation.selection)
    store = store_behind(situation)
    assert claim(store, situation) == []
    store.finish_jobs([GivenBack(job_id=lost.id, claim=lost.claim)])
    assert store.look_again_in(situation.selection) == 0.0
    if looks_ahead:
        assert store.look_ahead(situation.selection).ready
    assert claim(store, situation, 1) == [lost.id]
    assert store.look_again_in(situation.selection) is None


@database
@pytest.mark.usefixtures("every_claim_is_slow")
def test_none_of_claim_next_job_says_that_nothing_is_ready() -> None:
    store = OrmJobStore(Job)
    for _ in range(claim_position.SLOW_CLAIMS + 1):
        assert store.claim_jobs(str(uuid4()), 1, JobSelection()) == []
    job = make_job("default", run_after=timezone.now() - timedelta(minutes=30))
    claimed = store.claim_next_job(str(uuid4()))
    assert claimed is not None
    assert claimed.id == job.id
