"""The claimer: when it looks, what it claims, and when a burst is over."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pleme_redis_django import ExecutionFailed, JobStatus, WorkerPool, WorkerPoolConfig
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.events import (
    WorkerStarted,
    WorkerStopped,
)
from pleme_redis_django.jobs.interface.fair_shares import SHARE
from pleme_redis_django.jobs.interface.hints import Hinted
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.worker.lane import COMING_MAX_CLAIM, LaneFeed
from pleme_redis_django.jobs.worker.loop_lane import LoopLane
from pleme_redis_django.jobs.worker.pace import MAX_CLAIM
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.pool_bench import DEADLINE_SECONDS, NEVER_SECONDS, Bench, unlaunched
from tests.jobs.recording import (
    FunctionExecutor,
    TypedExecutor,
    claimed,
    held,
)
from tests.waiting import wait_until


def test_a_full_lane_does_not_starve_the_other(bench: Bench) -> None:
    gate = threading.Event()

    async def handler(job: Any) -> str:
        return bench.note(job)

    for _ in range(20):
        bench.store.add("sync")
    for _ in range(20):
        bench.store.add("async")
    try:
        pool = bench.pool(
            TypedExecutor({"sync": lambda job: gate.wait(DEADLINE_SECONDS)}, {"async": handler})
        )
        pool.launch()
        wait_until(lambda: len(bench.ran) == 20)
    finally:
        gate.set()
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 40)


def test_a_claim_that_the_store_forgot_in_a_crash_does_not_run_twice(bench: Bench) -> None:
    """The row is ready again with the attempt before; claimed by the same process, it is the same claim."""
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    job = bench.store.add()
    pool._parts.claimer.turn()
    (lane,) = pool._parts.lanes
    assert lane.unfinished() == 1
    row = bench.store._jobs[job.id]
    row.status, row.worker_id, row.attempt = JobStatus.QUEUED, None, 0
    pool._parts.agenda.hint()
    pool._parts.claimer.turn()
    assert lane.unfinished() == 1
    assert bench.statuses() == [JobStatus.RUNNING]
    (held_job,) = pool._parts.holdings.all()
    assert bench.store.finish_jobs([Completed(job_id=job.id, claim=held_job.claim)]) == [True]


def test_a_burst_does_not_end_beside_ready_jobs_that_were_not_to_be_had(bench: Bench) -> None:
    claim_jobs = bench.store.claim_jobs
    asked: list[int] = []

    def nothing_at_first(worker_id: str, limit: int, selection: JobSelection) -> Any:
        asked.append(limit)
        return [] if len(asked) <= 3 else claim_jobs(worker_id, limit, selection)

    bench.add(5)
    bench.store.claim_jobs = nothing_at_first
    bench.pool(burst=True).start()
    assert bench.statuses() == [JobStatus.COMPLETED] * 5


def test_a_process_that_is_behind_with_its_endings_claims_no_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it runs meanwhile would only be more that is not written, in memory without a bound."""
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    bench.add(1)
    is_behind = True
    monkeypatch.setattr(pool._parts.finisher, "is_behind", lambda: is_behind)
    pool._parts.agenda.hint()
    pool._parts.claimer.turn()
    assert bench.statuses() == [JobStatus.QUEUED]
    is_behind = False
    pool._parts.claimer.turn()
    assert bench.statuses() == [JobStatus.RUNNING]


def test_ready_jobs_that_were_locked_are_looked_at_again_soon(bench: Bench) -> None:
    """No hint tells of the end of a lock, and the next scan is far away."""
    claim_jobs = bench.store.claim_jobs
    locked = threading.Event()
    locked.set()
    asked = threading.Event()

    def claim(worker_id: str, limit: int, selection: JobSelection) -> Any:
        if locked.is_set():
            asked.set()
            return []
        return claim_jobs(worker_id, limit, selection)

    bench.store.claim_jobs = claim
    bench.add(1)
    bench.pool().launch()
    assert asked.wait(DEADLINE_SECONDS)
    locked.clear()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED])


def test_a_retry_that_is_noted_while_the_store_is_asked_is_not_forgotten(bench: Bench) -> None:
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    look_ahead = bench.store.look_ahead

    def look(selection: JobSelection) -> Any:
        outlook = look_ahead(selection)
        pool._parts.agenda.due_in(0.25)  # another thread's, between the answer and what is made of it
        return outlook

    bench.store.look_ahead = look
    assert pool._parts.claimer.turn() <= 0.25


class PromotionsOfATest:
    """Counts what a pool asks for at due times; the rows themselves are always somebody else's."""

    def __init__(self, bench: Bench) -> None:
        self.asked = 0
        bench.store.promote_due_jobs = self.promote

    def promote(self, limit: int) -> int:
        self.asked += 1
        return 0


def test_due_jobs_that_another_process_takes_are_not_asked_for_again_at_once(bench: Bench) -> None:
    promotions = PromotionsOfATest(bench)
    bench.store.add(delay_seconds=-1, status=JobStatus.PENDING)
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    waits = [pool._parts.claimer.turn() for _turn in range(10)]
    assert promotions.asked == 1
    assert all(wait > 0.5 for wait in waits)


def test_a_full_process_leaves_due_jobs_to_others(bench: Bench) -> None:
    promotions = PromotionsOfATest(bench)
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    for _ in range(2):
        bench.store.add()
    pool._parts.claimer.turn()
    bench.store.add(delay_seconds=-1, status=JobStatus.PENDING)
    pool._parts.agenda.scan_soon()
    assert pool._parts.claimer.turn() > 0.5
    assert promotions.asked == 0
    (lane,) = pool._parts.lanes
    assert lane.low_water >= 0  # the next free slot wakes the claimer


def test_a_retry_runs_as_soon_as_it_is_due(bench: Bench) -> None:
    def fail_once(job: Any) -> str:
        if job.retry_count == 0:
            raise ExecutionFailed("the first time")
        return bench.note(job)

    bench.add(5)
    bench.pool(FunctionExecutor(fail_once), base_retry_delay=0.05).launch()
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 5)
    assert {job.retry_count for job in bench.store.all()} == {1}


def test_a_job_that_is_enqueued_for_later_runs_when_it_is_due(bench: Bench) -> None:
    """The hint comes at the enqueue, long before the job is due; no scan helps within this test."""
    bench.pool().launch()
    wait_until(lambda: bench.registry.registered)
    bench.add(1)
    wait_until(lambda: bench.ran)
    bench.store.add(delay_seconds=0.2)
    bench.hints.nudge()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED] * 2)


def test_a_burst_ends_when_nothing_is_ready(bench: Bench) -> None:
    bench.add(30)
    bench.store.add(delay_seconds=1_000)
    pool = bench.pool(burst=True)
    pool.start()
    assert bench.statuses() == [JobStatus.COMPLETED] * 30 + [JobStatus.PENDING]
    assert pool.has_run_dry()


def test_a_burst_with_nothing_to_do_ends(bench: Bench) -> None:
    bench.pool(burst=True).start()
    assert [type(event) for event in bench.sink.events] == [WorkerStarted, WorkerStopped]


def test_a_paused_queue_waits_and_a_resume_needs_no_hint(bench: Bench) -> None:
    bench.store.pause("default")
    bench.add(2)
    bench.add(1, queue_name="other")
    bench.pool().launch()
    wait_until(lambda: JobStatus.COMPLETED in bench.statuses())
    assert bench.statuses() == [JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.COMPLETED]
    bench.store.resume("default")
    wait_until(lambda: set(bench.statuses()) == {JobStatus.COMPLETED})


def test_a_hint_of_one_lane_has_the_other_one_ask_for_nothing(bench: Bench) -> None:
    """Behind a backlog of other types that claim would read past all of it, and every other claim wait for it."""

    async def handler(job: Any) -> None: ...

    asked: list[frozenset[str] | None] = []

    class Store(MemoryJobStore):
        def claim_jobs(self, worker_id: str, limit: int, selection: JobSelection) -> Any:
            asked.append(selection.job_types)
            return super().claim_jobs(worker_id, limit, selection)

    bench.store = Store()
    pool = unlaunched(bench, TypedExecutor({"sync": bench.note}, {"async": handler}))
    for _ in range(20):
        bench.store.add("sync")
    pool._parts.claimer.turn()
    assert frozenset({"async"}) in asked
    asked.clear()
    for _ in range(5):
        pool._parts.agenda.hint(frozenset({Hinted("small", "sync")}))
        pool._parts.claimer.turn()
        pool._parts.claimer.turn()  # And a look ahead, for a job that is due later.
    assert frozenset({"async"}) not in asked
    pool._parts.agenda.hint(frozenset({Hinted("small", "async")}))
    pool._parts.claimer.turn()
    assert asked == [frozenset({"async"})]
    for lane in pool._parts.lanes:
        if isinstance(lane, LoopLane):
            lane._loop.close()


@pytest.fixture
def fair_claims(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> tuple[WorkerPool, LaneFeed, list[int]]:
    """A fair pool that starts 60 jobs during a claim, the feed of its lane, and how large its claims are."""
    config = WorkerPoolConfig(worker_count=2, poll_timeout=NEVER_SECONDS, fair=True)
    pool = WorkerPool(config, bench.hints, FunctionExecutor(bench.note), bench.store, sink=bench.sink)
    (feed,) = pool._parts.claimer._demand
    monkeypatch.setattr(feed._pace, "prefetch", lambda reach_seconds: 60)
    monkeypatch.setattr(bench.store, "hear_of", lambda selection, products: set(products), raising=False)
    claim_jobs, asked = bench.store.claim_jobs, []

    def claim(worker_id: str, limit: int, selection: JobSelection) -> Any:
        asked.append(limit)
        return claim_jobs(worker_id, limit, selection)

    monkeypatch.setattr(bench.store, "claim_jobs", claim)
    return pool, feed, asked


def test_who_has_just_come_is_claimed_in_a_small_claim_of_their_own(
    bench: Bench, fair_claims: tuple[WorkerPool, LaneFeed, list[int]]
) -> None:
    """A claim of as many as the lane takes lasts ten times as long, and their jobs would start after it."""
    pool, _feed, asked = fair_claims
    bench.add(100)
    pool._parts.agenda.hint(frozenset({Hinted("small", "any")}))
    pool._parts.claimer.turn()
    assert asked == [SHARE, COMING_MAX_CLAIM], "and then at once as many as a claim takes while others come"


def test_who_comes_while_there_is_no_room_is_claimed_first_as_soon_as_there_is(
    bench: Bench, fair_claims: tuple[WorkerPool, LaneFeed, list[int]]
) -> None:
    """The hint is taken, and no other process knows of it."""
    pool, feed, asked = fair_claims
    feed.lane.submit([held(claimed(MemoryJobStore())) for _ in range(200)])
    bench.add(100)
    pool._parts.agenda.hint(frozenset({Hinted("small", "any")}))
    pool._parts.claimer.turn()
    assert asked == []
    feed.lane.take_waiting()
    pool._parts.claimer.turn()
    assert asked[0] == SHARE


@pytest.mark.parametrize(("fair", "slots"), [(True, 200), (False, MAX_CLAIM + 100)])
def test_claims_that_are_smaller_than_what_is_free_follow_each_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, fair: bool, slots: int
) -> None:
    """Nobody wakes the claimer until a job ends, which may take hours."""
    config = WorkerPoolConfig(worker_count=slots, poll_timeout=NEVER_SECONDS, fair=fair)
    pool = WorkerPool(config, bench.hints, FunctionExecutor(bench.note), bench.store, sink=bench.sink)
    monkeypatch.setattr(bench.store, "hear_of", lambda selection, products: set(products), raising=False)
    bench.add(slots + 10)
    pool._parts.agenda.hint(frozenset({Hinted("small", "any")}))
    turns = 1
    while pool._parts.claimer.turn() == 0:
        turns += 1
        assert turns < 10
    assert bench.statuses().count(JobStatus.RUNNING) == slots
