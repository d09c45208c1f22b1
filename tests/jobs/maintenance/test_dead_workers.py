"""Dead workers: whose jobs are charged, and whose run again as if nothing had been."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.events import (
    WorkerDied,
)
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.maintenance.dead_workers import DeadWorkers
from pleme_redis_django.testing import MemoryJob, MemoryJobStore
from tests.jobs.pool_bench import DEAD, DEADLINE_SECONDS, Bench, death_with
from tests.jobs.recording import (
    FunctionExecutor,
    MemoryRegistry,
    claimed,
)
from tests.waiting import wait_until


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
