"""A whole pool on a store in memory: claim, run, finish, without a database or Redis."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pleme_redis_django import ExecutionFailed, JobStatus, WorkerPool, WorkerPoolConfig
from pleme_redis_django.jobs.interface.events import (
    JobsClaimed,
    StoreBack,
    StoreUnavailable,
)
from tests.jobs.pool_bench import Bench
from tests.jobs.recording import (
    AsyncFunctionExecutor,
    FunctionExecutor,
    TypedExecutor,
)
from tests.waiting import wait_until


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


def test_exhausted_retries_fail(bench: Bench) -> None:
    def fail(job: Any) -> None:
        raise ExecutionFailed("always")

    bench.add(3, max_retries=2)
    bench.pool(FunctionExecutor(fail), base_retry_delay=0).launch()
    wait_until(lambda: bench.statuses() == [JobStatus.FAILED] * 3)
    assert {(job.attempt, job.retry_count) for job in bench.store.all()} == {(3, 2)}


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
