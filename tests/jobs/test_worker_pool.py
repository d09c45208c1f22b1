"""A whole pool on a store in memory: claim, run, finish, drain, rescue, without a database or Redis."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from pleme_redis_django import ExecutionFailed, JobStatus, WorkerPool, WorkerPoolConfig, current_job_context
from pleme_redis_django.exceptions import LockedJobs
from pleme_redis_django.jobs.interface.endings import Completed, Ending, GivenBack
from pleme_redis_django.jobs.interface.events import (
    DrainRequested,
    JobEnded,
    JobsClaimed,
    JobStarted,
    StoreBack,
    StoreUnavailable,
    SuspectsSeen,
    SuspectStarted,
    WorkerDied,
    WorkerStarted,
    WorkerStopped,
)
from pleme_redis_django.jobs.interface.store import JobSelection
from pleme_redis_django.jobs.interface.workers import WorkerStanding
from pleme_redis_django.jobs.maintenance.dead_workers import DeadWorkers
from pleme_redis_django.jobs.worker.executing_page import JobExecuted, SeenDeath
from pleme_redis_django.jobs.worker.lanes import LoopLane
from pleme_redis_django.jobs.worker.suspects import SuspectRule
from pleme_redis_django.testing import MemoryJob, MemoryJobStore
from tests.jobs.recording import (
    WORKER,
    AsyncFunctionExecutor,
    FunctionExecutor,
    MemoryHints,
    MemoryRegistry,
    RecordingSink,
    TypedExecutor,
    claimed,
    held,
)
from tests.waiting import wait_until

DEADLINE_SECONDS = 10
# Nothing in these tests waits for a scan: what has to be woken is woken.
NEVER_SECONDS = 3_000

MakePool = Callable[..., WorkerPool[Any]]


class Bench:
    def __init__(self) -> None:
        self.store = MemoryJobStore()
        self.sink = RecordingSink()
        self.hints = MemoryHints()
        self.registry = MemoryRegistry()
        self.calls: CallsOfATest | None = None
        self.ran: list[Any] = []
        self.pools: list[WorkerPool[Any]] = []

    def pool(
        self,
        executor: Any = None,
        *,
        burst: bool = False,
        suspects: SuspectRule = SuspectRule.BESIDE,
        **config: Any,
    ) -> WorkerPool[Any]:
        settings = {"worker_count": 2, "poll_timeout": NEVER_SECONDS, "grace_seconds": 10, **config}
        pool: WorkerPool[Any] = WorkerPool(
            WorkerPoolConfig(**settings),
            self.hints,
            executor or FunctionExecutor(self.note),
            self.store,
            registry=self.registry,
            calls=self.calls,
            sink=self.sink,
            burst=burst,
            suspects=suspects,
        )
        self.pools.append(pool)
        return pool

    def note(self, job: Any) -> str:
        self.ran.append(job.id)
        return "done"

    def statuses(self) -> list[JobStatus]:
        return [job.status for job in self.store.all()]

    def add(self, count: int, **fields: Any) -> None:
        for _ in range(count):
            self.store.add(**fields)
        self.hints.nudge()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for pool in bench.pools:
        pool.stop(0)


def test_jobs_that_were_there_before_are_run(bench: Bench) -> None:
    bench.add(50)
    bench.pool().launch()
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 50)
    assert len(bench.ran) == 50


def test_a_hint_wakes_a_pool_that_sleeps(bench: Bench) -> None:
    bench.pool().launch()
    wait_until(lambda: bench.registry.registered)
    for _ in range(3):
        bench.add(1)
        wait_until(lambda: set(bench.statuses()) == {JobStatus.COMPLETED})
    assert bench.sink.of(JobsClaimed)


def test_async_handlers_run_the_same(bench: Bench) -> None:
    async def handler(job: Any) -> str:
        await asyncio.sleep(0)
        return bench.note(job)

    bench.add(50)
    bench.pool(AsyncFunctionExecutor(handler)).launch()
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 50)


def test_sync_and_async_types_share_a_pool(bench: Bench) -> None:
    async def handler(job: Any) -> str:
        return bench.note(job)

    for job_type in ("sync", "async", "unknown") * 20:
        bench.store.add(job_type)
    bench.pool(TypedExecutor({"sync": bench.note}, {"async": handler})).launch()
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 40)
    assert {job.job_type for job in bench.store.all() if job.status is JobStatus.QUEUED} == {"unknown"}


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


def unlaunched(bench: Bench, executor: Any) -> WorkerPool[Any]:
    """Return a pool whose claimer the test turns by hand; its lanes run nothing."""
    config = WorkerPoolConfig(worker_count=2, poll_timeout=NEVER_SECONDS)
    return WorkerPool(config, bench.hints, executor, bench.store, sink=bench.sink)


def test_a_hint_that_comes_back_does_not_go_round(bench: Bench) -> None:
    """The threads are full and have a backlog, the loop is free: the process hears its own nudges."""

    async def handler(job: Any) -> None: ...

    pool = unlaunched(bench, TypedExecutor({"sync": bench.note}, {"async": handler}))
    for _ in range(20):
        bench.store.add("sync")
    for _ in range(100):
        pool._parts.agenda.hint()
        pool._parts.claimer.turn()
    assert bench.statuses().count(JobStatus.RUNNING) == 2
    assert 1 <= bench.hints.nudges < 20
    for lane in pool._parts.lanes:
        if isinstance(lane, LoopLane):
            lane._loop.close()


def test_a_full_process_passes_every_hint_on(bench: Bench) -> None:
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    for _ in range(20):
        bench.store.add()
    for turn in range(1, 6):
        pool._parts.agenda.hint()
        pool._parts.claimer.turn()
        assert bench.hints.nudges == turn


def test_a_hint_of_what_was_taken_is_not_passed_on(bench: Bench) -> None:
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    bench.store.add()
    for _ in range(5):
        pool._parts.agenda.hint()
        pool._parts.claimer.turn()
    assert bench.hints.nudges == 0


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
    assert bench.store.finish_jobs([Completed(job_id=job.id, claim=held_job.context.claim)]) == [True]


def test_a_burst_does_not_end_beside_ready_jobs_that_were_not_to_be_had(bench: Bench) -> None:
    claim_jobs = bench.store.claim_jobs
    asked: list[int] = []

    def nothing_at_first(worker_id: str, limit: int, selection: JobSelection) -> Any:
        asked.append(limit)
        return [] if len(asked) <= 3 else claim_jobs(worker_id, limit, selection)

    bench.add(5)
    bench.store.claim_jobs = nothing_at_first  # type: ignore[method-assign]
    bench.pool(burst=True).start()
    assert bench.statuses() == [JobStatus.COMPLETED] * 5


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

    bench.store.claim_jobs = claim  # type: ignore[method-assign]
    bench.add(1)
    bench.pool().launch()
    assert asked.wait(DEADLINE_SECONDS)
    locked.clear()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED])


def test_what_a_full_process_gives_back_wakes_another(bench: Bench) -> None:
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    for _ in range(3):
        bench.store.add()
    pool._parts.claimer.turn()
    assert bench.hints.nudges == 0
    pool._parts.agenda.due_in(0)
    pool._parts.claimer.turn()
    assert bench.hints.nudges == 1


def test_a_retry_that_is_noted_while_the_store_is_asked_is_not_forgotten(bench: Bench) -> None:
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    look_ahead = bench.store.look_ahead

    def look(selection: JobSelection) -> Any:
        outlook = look_ahead(selection)
        pool._parts.agenda.due_in(0.25)  # another thread's, between the answer and what is made of it
        return outlook

    bench.store.look_ahead = look  # type: ignore[method-assign]
    assert pool._parts.claimer.turn() <= 0.25


class PromotionsOfATest:
    """Counts what a pool asks for at due times; the rows themselves are always somebody else's."""

    def __init__(self, bench: Bench) -> None:
        self.asked = 0
        bench.store.promote_due_jobs = self.promote  # type: ignore[method-assign]

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


def test_slow_jobs_are_not_hoarded(bench: Bench) -> None:
    gate = threading.Event()
    bench.add(20)
    try:
        bench.pool(FunctionExecutor(lambda job: gate.wait(DEADLINE_SECONDS)), worker_count=2).launch()
        wait_until(lambda: bench.statuses().count(JobStatus.RUNNING) == 2)
        bench.hints.nudge()
        assert bench.store.count_claimable_jobs() == 18
    finally:
        gate.set()
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 20)


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


def test_exhausted_retries_fail(bench: Bench) -> None:
    def fail(job: Any) -> None:
        raise ExecutionFailed("always")

    bench.add(3, max_retries=2)
    bench.pool(FunctionExecutor(fail), base_retry_delay=0).launch()
    wait_until(lambda: bench.statuses() == [JobStatus.FAILED] * 3)
    assert {(job.attempt, job.retry_count) for job in bench.store.all()} == {(3, 2)}


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


def test_a_stop_gives_back_what_has_not_started_and_lets_the_rest_end(bench: Bench) -> None:
    gate = threading.Event()
    bench.add(2)
    pool = bench.pool(FunctionExecutor(lambda job: gate.wait(DEADLINE_SECONDS)), worker_count=1)
    pool.launch()
    wait_until(lambda: bench.sink.of(JobStarted))
    stopping = threading.Thread(target=pool.stop)
    stopping.start()
    gate.set()
    stopping.join(DEADLINE_SECONDS)
    assert not stopping.is_alive()
    assert bench.statuses() == [JobStatus.COMPLETED, JobStatus.QUEUED]
    (stopped,) = bench.sink.of(WorkerStopped)
    assert stopped.handed_back_running == 0
    assert bench.registry.deregistered == bench.registry.registered


def test_the_end_of_the_grace_hands_running_jobs_back(bench: Bench) -> None:
    gate = threading.Event()
    bench.add(1)
    pool = bench.pool(FunctionExecutor(lambda job: gate.wait(DEADLINE_SECONDS)))
    pool.launch()
    wait_until(lambda: bench.sink.of(JobStarted))
    try:
        assert pool.stop(0) == 1
        (job,) = bench.store.all()
        assert (job.status, job.retry_count, job.crash_count) == (JobStatus.QUEUED, 0, 0)
        (stopped,) = bench.sink.of(WorkerStopped)
        assert (stopped.given_back, stopped.handed_back_running) == (1, 1)
    finally:
        gate.set()


def test_a_second_stop_does_nothing(bench: Bench) -> None:
    pool = bench.pool()
    pool.launch()
    pool.stop()
    assert pool.stop() == 0
    assert len(bench.sink.of(WorkerStopped)) == 1


def test_without_a_current_lease_nothing_is_claimed(bench: Bench) -> None:
    bench.registry.error = ConnectionError("away")
    bench.add(1)
    bench.pool().launch()
    wait_until(lambda: bench.sink.of(StoreUnavailable))
    assert bench.statuses() == [JobStatus.QUEUED]
    bench.registry.error = None
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED])


def test_a_store_that_was_away_is_used_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, away = bench.store.claim_jobs, threading.Event()

    def claim_jobs(*args: Any) -> Any:
        if away.is_set():
            raise ConnectionError("away")
        return claim(*args)

    monkeypatch.setattr(bench.store, "claim_jobs", claim_jobs)
    away.set()
    bench.add(3)
    bench.pool().launch()
    wait_until(lambda: bench.sink.of(StoreUnavailable))
    away.clear()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED] * 3)
    wait_until(lambda: bench.sink.of(StoreBack))


def test_broken_hints_only_cost_time(bench: Bench) -> None:
    bench.hints.error = ConnectionError("no Redis")
    bench.pool(poll_timeout=0.05).launch()
    for _ in range(3):
        bench.store.add()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED] * 3)


def test_a_pool_without_hints_scans(bench: Bench) -> None:
    config = WorkerPoolConfig(poll_timeout=0.05)
    pool: WorkerPool[Any] = WorkerPool(
        config, None, FunctionExecutor(bench.note), bench.store, sink=bench.sink
    )
    bench.pools.append(pool)
    pool.launch()
    bench.store.add()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED])


def test_a_cancel_request_reaches_a_running_handler(bench: Bench) -> None:
    def handler(job: Any) -> str:
        context = current_job_context()
        assert context is not None
        bench.ran.append(job.id)
        wait_until(lambda: context.cancel_requested)
        return "noticed"

    bench.add(1)
    bench.pool(FunctionExecutor(handler), lease_sweep_seconds=0.05).launch()
    wait_until(lambda: bench.ran)
    bench.store.request_cancel(bench.ran[0])
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED])


def test_a_cancel_request_ends_a_running_async_handler(bench: Bench) -> None:
    async def handler(job: Any) -> None:
        bench.ran.append(job.id)
        await asyncio.Event().wait()

    bench.add(1)
    bench.pool(AsyncFunctionExecutor(handler), lease_sweep_seconds=0.05).launch()
    wait_until(lambda: bench.ran)
    bench.store.request_cancel(bench.ran[0])
    wait_until(lambda: bench.statuses() == [JobStatus.CANCELLED])


class CallsOfATest:
    """WorkerCalls in memory."""

    def __init__(self) -> None:
        self._called = threading.Semaphore(0)

    def call(self) -> None:
        self._called.release()

    def wait_for_call(self, worker_id: str, timeout_seconds: float) -> bool:
        return self._called.acquire(timeout=0.5)


def test_a_call_lets_a_cancel_be_noticed_at_once(bench: Bench) -> None:
    async def handler(job: Any) -> None:
        bench.ran.append(job.id)
        await asyncio.Event().wait()

    bench.calls = CallsOfATest()
    bench.add(1)
    bench.pool(AsyncFunctionExecutor(handler), lease_sweep_seconds=NEVER_SECONDS).launch()
    wait_until(lambda: bench.ran)
    bench.store.request_cancel(bench.ran[0])
    bench.calls.call()
    wait_until(lambda: bench.statuses() == [JobStatus.CANCELLED])


def test_calls_in_close_succession_take_no_claim_for_a_lost_one(bench: Bench) -> None:
    """The row is RUNNING under the worker's id, and its claim is still under way."""
    pool = bench.pool()
    bench.pools.clear()  # It is never launched.
    claimed(bench.store, pool.identity.worker_id)
    pool._parts.holdings.add([held(claimed(bench.store, pool.identity.worker_id))])
    for _ in range(5):
        pool._parts.lost_claims.learn_of_requests()
    assert bench.statuses().count(JobStatus.RUNNING) == 2


def test_a_pool_that_is_asked_to_drain_ends_its_jobs_and_stops(bench: Bench) -> None:
    gate = threading.Event()

    def handler(job: Any) -> None:
        bench.note(job)
        assert gate.wait(DEADLINE_SECONDS)

    pool = bench.pool(FunctionExecutor(handler), worker_count=1, grace_seconds=0, heartbeat_seconds=0.05)
    runs = threading.Thread(target=pool.start)
    bench.add(1)
    runs.start()
    wait_until(lambda: bench.ran)
    bench.registry.standing = WorkerStanding.DRAINING
    wait_until(lambda: bench.sink.of(DrainRequested))
    bench.add(3)
    gate.set()
    runs.join(DEADLINE_SECONDS)
    assert not runs.is_alive()
    assert bench.statuses() == [JobStatus.COMPLETED] + [JobStatus.QUEUED] * 3
    assert [event.handed_back_running for event in bench.sink.of(WorkerStopped)] == [0]
    assert len(bench.sink.of(DrainRequested)) == 1


def test_a_paused_queue_waits_and_a_resume_needs_no_hint(bench: Bench) -> None:
    bench.store.pause("default")
    bench.add(2)
    bench.add(1, queue_name="other")
    bench.pool().launch()
    wait_until(lambda: JobStatus.COMPLETED in bench.statuses())
    assert bench.statuses() == [JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.COMPLETED]
    bench.store.resume("default")
    wait_until(lambda: set(bench.statuses()) == {JobStatus.COMPLETED})


DEAD = "22222222-2222-4222-8222-222222222222"


def death_with(*jobs: Any) -> SeenDeath:
    """The death of DEAD, which was executing these of its jobs."""
    return SeenDeath(worker_id=DEAD, executing=frozenset(JobExecuted(job.id, job.attempt) for job in jobs))


def test_only_what_was_executing_is_counted(bench: Bench) -> None:
    """What a dead process had prefetched runs again at once, together, and nothing is held against it."""
    ran, *prefetched = [claimed(bench.store, DEAD) for _ in range(6)]
    pool = bench.pool(worker_count=4)
    pool.launch()
    pool.rescue_jobs_of(death_with(ran))
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 5)
    wait_until(lambda: bench.registry.declared == [DEAD])
    assert {(job.crash_count, job.retry_count) for job in bench.store.all() if job.id != ran.id} == {(0, 0)}
    counted = bench.store.load_job(ran.id)
    assert (counted.crash_count, counted.retry_count) == (1, 0)
    assert bench.sink.of(WorkerDied) == [WorkerDied((DEAD,), 6)]
    assert {job.id for job in prefetched} == set(bench.ran) - {ran.id}


def test_the_sweeper_cannot_take_the_evidence_away(bench: Bench) -> None:
    """It names every dead worker, and would give back plainly what is about to be counted."""
    job = claimed(bench.store, DEAD)

    class Hasty(MemoryRegistry):
        def declare_dead(self, worker_ids: Sequence[str]) -> None:
            super().declare_dead(worker_ids)
            pool._parts.dead_workers.rescue(worker_ids)

    bench.registry = Hasty()
    pool = bench.pool()
    pool.rescue_jobs_of(death_with(job))
    pool.launch()
    wait_until(lambda: bench.registry.declared)
    assert bench.store.load_job(job.id).crash_count == 1


def test_a_death_while_draining_says_nothing_of_the_jobs(bench: Bench) -> None:
    job = claimed(bench.store, DEAD)
    bench.registry.draining = [DEAD]
    pool = bench.pool()
    pool.launch()
    pool.rescue_jobs_of(death_with(job))
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED])
    assert bench.store.load_job(job.id).crash_count == 0


def test_a_death_known_by_its_lease_alone_says_nothing_of_the_jobs(bench: Bench) -> None:
    """Three jobs of a host that vanished run again at once, together."""
    jobs = [claimed(bench.store, DEAD) for _ in range(3)]
    bench.registry.dead = [DEAD]
    together = threading.Barrier(3)
    # A short lease: whoever sweeps has beaten for the whole of one.
    pool = bench.pool(
        FunctionExecutor(lambda job: bool(together.wait(DEADLINE_SECONDS)) and None),
        worker_count=3,
        heartbeat_seconds=0.05,
        lease_seconds=0.2,
        lease_sweep_seconds=0.05,
    )
    pool.launch()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED] * 3)
    assert {bench.store.load_job(job.id).crash_count for job in jobs} == {0}
    wait_until(lambda: DEAD in bench.registry.forgotten)


def started(store: MemoryJobStore, **fields: Any) -> MemoryJob:
    """Return a job that DEAD has claimed and begun to run."""
    job = claimed(store, DEAD, **fields)
    assert job.claim is not None
    assert store.mark_job_running(job.id, claim=job.claim)
    return job


def dead_workers_of(bench: Bench, **config: Any) -> DeadWorkers:
    """Return the duty of a pool that is never launched, for the test to call."""
    pool = bench.pool(**config)
    bench.pools.clear()
    return pool._parts.dead_workers


def test_what_ran_at_an_unseen_death_is_counted_and_what_was_prefetched_is_not(bench: Bench) -> None:
    ran = started(bench.store)
    for _ in range(3):
        claimed(bench.store, DEAD)
    bench.registry.dead = [DEAD]
    dead_workers_of(bench).sweep()
    assert bench.statuses() == [JobStatus.QUEUED] * 4
    counted = {job.id: (job.unseen_deaths, job.crash_count, job.retry_count) for job in bench.store.all()}
    assert counted.pop(ran.id) == (1, 0, 0)
    assert set(counted.values()) == {(0, 0, 0)}


def test_an_unseen_death_while_draining_counts_nothing(bench: Bench) -> None:
    job = started(bench.store)
    bench.registry.dead = bench.registry.draining = [DEAD]
    dead_workers_of(bench).sweep()
    row = bench.store.load_job(job.id)
    assert (row.status, row.unseen_deaths) == (JobStatus.QUEUED, 0)


def test_what_was_executing_at_a_seen_death_is_no_unseen_one(bench: Bench) -> None:
    job = started(bench.store)
    pool = bench.pool()
    pool.launch()
    pool.rescue_jobs_of(death_with(job))
    wait_until(lambda: bench.registry.declared == [DEAD])
    row = bench.store.load_job(job.id)
    assert (row.crash_count, row.unseen_deaths) == (1, 0)


def test_a_job_at_whose_run_hosts_vanish_again_and_again_ends_failed(bench: Bench) -> None:
    bench.registry.dead = [DEAD]
    bench.store.add()
    dead_workers = dead_workers_of(bench, burst=True, max_unseen_deaths=7)
    ran_alone = []
    for _ in range(7):
        bench.store.promote_due_jobs(1)
        is_suspect = bench.store.look_ahead(JobSelection()).suspects
        (job,) = bench.store.claim_jobs(DEAD, 1, JobSelection(suspects=is_suspect))
        assert job.claim is not None
        bench.store.mark_job_running(job.id, claim=job.claim)
        ran_alone.append(is_suspect)
        dead_workers.sweep()
    assert ran_alone == [False] * 5 + [True] * 2
    assert bench.statuses() == [JobStatus.FAILED]
    assert "number 7 in a row" in bench.store.all()[0].error_message


def test_the_start_of_a_job_that_was_given_back_is_recorded_at_once(bench: Bench) -> None:
    """It may be what takes hosts along, and leaves no other trace of having run."""
    gate = threading.Event()
    bench.add(2)
    first = bench.store.claim_next_job(DEAD)
    assert first is not None
    assert first.claim is not None
    bench.store.finish_jobs([GivenBack(job_id=first.id, claim=first.claim)])
    pool = bench.pool(
        FunctionExecutor(lambda job: gate.wait(DEADLINE_SECONDS) and None), lease_sweep_seconds=NEVER_SECONDS
    )
    pool.launch()
    wait_until(lambda: bench.store.load_job(first.id).started_at is not None)
    gate.set()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED] * 2)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_job_that_keeps_coming_back_starts_once_its_start_is_written(bench: Bench, kind: str) -> None:
    """Its handler may hold the interpreter's lock from its first step on, so that nobody here can write it then."""
    seen: list[Any] = []

    def look(job: Any) -> None:
        seen.append(bench.store.load_job(job.id).started_at)

    async def alook(job: Any) -> None:
        look(job)

    bench.add(1, attempt=6)
    bench.add(1, attempt=5)
    executor = FunctionExecutor(look) if kind == "sync" else AsyncFunctionExecutor(alook)
    bench.pool(executor, worker_count=1, async_count=1, lease_sweep_seconds=NEVER_SECONDS).launch()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED] * 2)
    assert [at is not None for at in seen] == [True, False]


def test_a_job_that_kills_while_it_runs_alone_fails(bench: Bench) -> None:
    bench.store.add(crash_count=2)
    (job,) = bench.store.claim_jobs(DEAD, 1, JobSelection(suspects=True))
    pool = bench.pool()
    pool.launch()
    pool.rescue_jobs_of(death_with(job))
    wait_until(lambda: bench.statuses() == [JobStatus.FAILED])
    assert bench.ran == []
    assert bench.store.load_job(job.id).crash_count == 3


def test_a_burst_waits_for_the_jobs_of_a_death_that_was_seen(bench: Bench) -> None:
    """Also for those that would be given back with a delay."""
    jobs = [claimed(bench.store, DEAD) for _ in range(3)]
    pool = bench.pool(burst=True)
    pool.rescue_jobs_of(death_with(*jobs))
    pool.start()
    assert bench.statuses() == [JobStatus.COMPLETED] * 3


@dataclasses.dataclass(slots=True, kw_only=True)
class OddJob(MemoryJob):
    """Its model raises when it is asked whether it may be retried."""

    def can_retry(self) -> bool:
        raise ZeroDivisionError("a broken can_retry()")


def test_a_stale_job_that_cannot_be_decided_ends_alone(bench: Bench) -> None:
    bench.store = MemoryJobStore(clock=(clock := _Clock()))
    _first, odd, _last = (claimed(bench.store, WORKER, configuration=each) for each in (None, ["x"], None))
    fields = {field.name: getattr(odd, field.name) for field in dataclasses.fields(odd)}
    bench.store._jobs[odd.id] = OddJob(**fields)
    clock.now += 100
    pool = bench.pool(stale_job_threshold_seconds=60)
    pool.launch()
    assert pool._parts.maintainer.duty("silent_jobs").run() == 3
    assert bench.statuses() == [JobStatus.PENDING, JobStatus.FAILED, JobStatus.PENDING]
    message = bench.store.load_job(odd.id).error_message
    assert "ZeroDivisionError: a broken can_retry()" in message


def test_a_rescue_decides_each_job_for_itself(bench: Bench) -> None:
    jobs = [claimed(bench.store, DEAD, configuration=each) for each in (None, ["x"], None)]
    pool = bench.pool()
    pool.launch()
    pool.rescue_jobs_of(SeenDeath(worker_id=DEAD))
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED] * 3)
    assert set(bench.ran) == {job.id for job in jobs}


def test_a_locked_row_holds_up_the_rescue_of_no_other(bench: Bench) -> None:
    """The others run at once; it is rescued, and counted, once its row is free."""

    class Locking(MemoryJobStore):
        locked: frozenset[Any] = frozenset()

        def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]:
            if locked := self.locked & {ending.job_id for ending in endings}:
                raise LockedJobs(locked)
            return super().finish_jobs(endings)

    bench.store = store = Locking()
    locked, *others = [claimed(store, DEAD) for _ in range(4)]
    store.locked = frozenset({locked.id})
    pool = bench.pool(lease_sweep_seconds=0.05)
    pool.launch()
    pool.rescue_jobs_of(death_with(locked))
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 3)
    assert {job.id for job in others} == set(bench.ran)
    assert bench.registry.declared == []
    store.locked = frozenset()
    wait_until(lambda: store.load_job(locked.id).crash_count == 1)
    wait_until(lambda: bench.registry.declared == [DEAD])


def test_a_duty_that_fails_stops_no_other(bench: Bench) -> None:
    """The jobs of a death cannot be found, and a cancel is noticed all the same."""

    class NoRescue(MemoryJobStore):
        def find_jobs_of(self, worker_ids: Any) -> Any:
            raise ZeroDivisionError("a broken store")

    bench.store = NoRescue()
    noticed = threading.Event()

    def handler(job: Any) -> None:
        context = current_job_context()
        assert context is not None
        wait_until(lambda: context.cancel_requested)
        noticed.set()

    job = bench.store.add()
    pool = bench.pool(FunctionExecutor(handler), lease_sweep_seconds=0.05)
    pool.launch()
    wait_until(lambda: len(bench.sink.of(JobStarted)) == 1)
    pool.rescue_jobs_of(SeenDeath(worker_id=DEAD))
    bench.store.request_cancel(job.id)
    assert noticed.wait(DEADLINE_SECONDS)


def test_suspects_run_one_at_a_time_beside_ordinary_work(bench: Bench) -> None:
    """Nobody supervises this pool: a suspect that hangs costs one slot, and the next suspect waits for it."""
    gate = threading.Event()
    suspects = [bench.store.add(crash_count=2).id for _ in range(2)]

    def handler(job: Any) -> str:
        bench.note(job)
        if job.id in suspects:
            assert gate.wait(DEADLINE_SECONDS)
        return "done"

    bench.pool(FunctionExecutor(handler), worker_count=3).launch()
    wait_until(lambda: bench.ran)
    bench.add(20)
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 20)
    assert len(set(suspects) & set(bench.ran)) == 1
    gate.set()
    wait_until(lambda: set(bench.statuses()) == {JobStatus.COMPLETED})
    assert len(bench.sink.of(SuspectStarted)) == 2
    assert {job.crash_count for job in bench.store.all()} == {0}, "they are acquitted"


def test_a_long_job_and_a_suspect_hold_up_nobody(bench: Bench) -> None:
    """The process need not become empty for a suspect: ordinary jobs go on, and so does the suspect."""
    gate = threading.Event()
    bench.store.add("long")
    pool = bench.pool(
        TypedExecutor({"long": lambda job: gate.wait(DEADLINE_SECONDS), "test": bench.note}, {}),
        worker_count=2,
    )
    pool.launch()
    wait_until(lambda: len(bench.sink.of(JobStarted)) == 1)
    bench.store.add(crash_count=2)
    bench.add(10)
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 11)
    gate.set()


def test_a_supervised_pool_reports_suspects_and_leaves_them_alone(bench: Bench) -> None:
    suspect = bench.store.add(crash_count=2)
    bench.add(3)
    pool = bench.pool(suspects=SuspectRule.REPORTED)
    pool.launch()
    wait_until(lambda: bench.sink.of(SuspectsSeen))
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 3)
    assert suspect.id not in bench.ran


def test_a_quarantine_runs_suspects_alone_and_ends(bench: Bench) -> None:
    running = threading.Semaphore(1)
    overlapped: list[Any] = []
    suspects = {bench.store.add(crash_count=2).id for _ in range(3)}
    bench.add(3)

    def alone(job: Any) -> str:
        if not running.acquire(blocking=False):
            overlapped.append(job.id)
        try:
            return bench.note(job)
        finally:
            running.release()

    bench.pool(FunctionExecutor(alone), suspects=SuspectRule.ONLY).start()
    assert set(bench.ran) == suspects
    assert overlapped == []
    assert bench.statuses().count(JobStatus.QUEUED) == 3


def test_a_burst_leaves_no_suspect_behind(bench: Bench) -> None:
    for _ in range(2):
        bench.store.add(crash_count=2)
    bench.add(3)
    bench.pool(burst=True).start()
    assert set(bench.statuses()) == {JobStatus.COMPLETED}


def test_what_becomes_due_is_told_by_a_quarantine_to_the_others(bench: Bench) -> None:
    gate = threading.Event()
    bench.store.add(crash_count=2)
    bench.pool(FunctionExecutor(lambda job: gate.wait(DEADLINE_SECONDS)), suspects=SuspectRule.ONLY).launch()
    wait_until(lambda: bench.sink.of(JobStarted))
    bench.store.add(delay_seconds=0.01)
    bench.pools[0]._parts.agenda.scan_soon()
    wait_until(lambda: bench.hints.nudges)
    assert JobStatus.QUEUED in bench.statuses()
    gate.set()


def test_claims_that_nobody_holds_are_given_back(bench: Bench) -> None:
    """A claim was committed, and its reply was lost: the row is RUNNING under a worker that does not know."""
    pool = bench.pool(lease_sweep_seconds=0.05)
    lost = claimed(bench.store, pool.identity.worker_id)
    pool.launch()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED])
    (job,) = bench.store.all()
    assert (job.id, job.attempt, job.crash_count, job.retry_count) == (lost.id, 2, 0, 0)


def test_silent_jobs_are_ended_by_the_elected_worker(bench: Bench) -> None:
    bench.store = MemoryJobStore(clock=(clock := _Clock()))
    claimed(bench.store, WORKER, max_retries=0)
    clock.now += 100
    bench.registry.elected = False
    pool = bench.pool(
        stale_job_threshold_seconds=60, stale_check_interval_seconds=0.1, lease_sweep_seconds=0.05
    )
    pool.launch()
    wait_until(lambda: any(role.startswith("caretaker") for role, _term in bench.registry.elections))
    assert bench.statuses() == [JobStatus.RUNNING]
    bench.registry.elected = True
    wait_until(lambda: bench.statuses() == [JobStatus.FAILED])
    assert bench.sink.of(JobEnded)[-1].ending.failure.error_code == "stale"  # type: ignore[attr-defined]


class _Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now
