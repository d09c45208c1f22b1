"""Lost claims, and what was asked of held jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from unittest.mock import Mock

import pytest

from pleme_redis_django import JobStatus, current_job_context
from pleme_redis_django.jobs.interface.store import HeldRow
from pleme_redis_django.jobs.maintenance import lost_claims
from tests.jobs.pool_bench import Bench
from tests.jobs.recording import (
    AsyncFunctionExecutor,
    FunctionExecutor,
    claimed,
    held,
)
from tests.waiting import wait_until


def test_a_cancel_request_reaches_a_running_handler(bench: Bench) -> None:
    def handler(job: Any) -> str:
        context = current_job_context()
        assert context is not None
        bench.ran.append(job.id)
        wait_until(lambda: context.cancel_requested)
        return "noticed"

    bench.add(1, configuration={"interrupt": False})
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


def test_calls_in_close_succession_take_no_claim_for_a_lost_one(bench: Bench) -> None:
    """The row is RUNNING under the worker's id, and its claim is still under way."""
    pool = bench.pool()
    bench.pools.clear()  # It is never launched.
    claimed(bench.store, pool.identity.worker_id)
    pool._parts.holdings.add([held(claimed(bench.store, pool.identity.worker_id))])
    for _ in range(5):
        pool._parts.lost_claims.learn_of_requests()
    assert bench.statuses().count(JobStatus.RUNNING) == 2


def test_claims_that_nobody_holds_are_given_back(bench: Bench) -> None:
    """A claim was committed, and its reply was lost: the row is RUNNING under a worker that does not know."""
    pool = bench.pool(lease_sweep_seconds=0.05)
    lost = claimed(bench.store, pool.identity.worker_id)
    pool.launch()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED])
    (job,) = bench.store.all()
    assert (job.id, job.attempt, job.crash_count, job.retry_count) == (lost.id, 2, 0, 0)


def test_a_lost_claim_that_was_asked_to_end_leaves_its_turn_to_the_next(bench: Bench) -> None:
    pool = bench.pool()
    bench.pools.clear()  # It is never launched.
    lost = claimed(bench.store, pool.identity.worker_id, order_key="a")
    waits = bench.store.add(order_key="a")
    assert bench.store.claim_next_job(pool.identity.worker_id) is None
    bench.store.request_cancel(lost.id)
    sweep = pool._parts.lost_claims.sweep
    assert [sweep(), sweep()] == [0, 1]
    assert bench.store.load_job(lost.id).status is JobStatus.CANCELLED
    assert bench.store.load_job(waits.id).status is JobStatus.QUEUED


def test_claims_are_looked_for_again_after_a_look_that_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database went away with the claim, and still is away when this process looks what it has got."""
    pool = bench.pool()
    bench.pools.clear()  # It is never launched.
    sweep = pool._parts.lost_claims.sweep
    assert sweep() == 0
    claimed(bench.store, pool.identity.worker_id)
    pool._parts.agenda.claims_lost()
    with monkeypatch.context() as away:
        away.setattr(bench.store, "held_jobs", Mock(side_effect=ConnectionError))
        with pytest.raises(ConnectionError):
            sweep()
    assert [sweep(), sweep()] == [0, 1]


class SlowLooks:
    """A clock that only looks move on: somebody holds a snapshot, and a look reads past all that has ended since."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now = time.monotonic()
        self.count = 0
        self._look = bench.store.held_jobs
        self._seconds = seconds
        monkeypatch.setattr(lost_claims.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(bench.store, "held_jobs", self._held_jobs)

    def _held_jobs(self, worker_id: str) -> Sequence[HeldRow]:
        self.now += self._seconds
        self.count += 1
        return self._look(worker_id)


def test_a_look_that_took_long_is_not_repeated_soon(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = bench.pool()
    bench.pools.clear()  # It is never launched.
    looks = SlowLooks(bench, monkeypatch, 1.0)
    pool._parts.holdings.add([held(claimed(bench.store, pool.identity.worker_id))])
    sweep = pool._parts.lost_claims.sweep
    sweep()
    looks.now += 1.0 / lost_claims.LOOK_SHARE - 0.1
    sweep()
    assert looks.count == 1
    # An outage may have lost claims: that is looked for at once.
    pool._parts.agenda.claims_lost()
    sweep()
    assert looks.count == 2
    looks.now += 1.0 / lost_claims.LOOK_SHARE
    sweep()
    assert looks.count == 3


def test_a_look_that_took_very_long_is_put_off_for_half_a_minute_at_most(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = bench.pool()
    bench.pools.clear()  # It is never launched.
    looks = SlowLooks(bench, monkeypatch, 10.0)
    pool._parts.holdings.add([held(claimed(bench.store, pool.identity.worker_id))])
    sweep = pool._parts.lost_claims.sweep
    sweep()
    looks.now += 29.0
    sweep()
    assert looks.count == 1
    looks.now += 1.0
    sweep()
    assert looks.count == 2


def test_a_lost_claim_is_given_back_within_two_sweeps_though_looks_take_long(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = bench.pool()
    bench.pools.clear()  # It is never launched.
    SlowLooks(bench, monkeypatch, 10.0)
    claimed(bench.store, pool.identity.worker_id)
    sweep = pool._parts.lost_claims.sweep
    assert [sweep(), sweep()] == [0, 1]


def test_looks_that_take_long_are_put_off_though_each_sees_something_unknown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that end while it looks are unknown to it: at full load, there always are some."""
    pool = bench.pool()
    bench.pools.clear()  # It is never launched.
    looks = SlowLooks(bench, monkeypatch, 10.0)
    sweep, holdings = pool._parts.lost_claims.sweep, pool._parts.holdings
    with holdings.claiming():
        claimed(bench.store, pool.identity.worker_id)
        for _ in range(4):
            sweep()
        assert looks.count == 2
        looks.now += lost_claims.MAX_PAUSE_SECONDS
        for _ in range(4):
            sweep()
        assert looks.count == 4
        # Claims that were lost meanwhile are looked for at once, twice.
        pool._parts.agenda.claims_lost()
        for _ in range(4):
            sweep()
        assert looks.count == 6


def test_jobs_of_a_claim_that_takes_long_are_not_taken_for_lost(bench: Bench) -> None:
    """Its rows are RUNNING, and the jobs wait for their admission in a database that is slow."""
    pool = bench.pool()
    bench.pools.clear()  # It is never launched.
    sweep, holdings = pool._parts.lost_claims.sweep, pool._parts.holdings
    with holdings.claiming():
        claimed(bench.store, pool.identity.worker_id)
        assert [sweep() for _ in range(3)] == [0, 0, 0]
    # That claim is over, and nobody holds the job.
    with holdings.claiming():
        assert sweep() == 1


def test_a_claim_that_was_lost_before_is_given_back_though_another_one_takes_long(bench: Bench) -> None:
    pool = bench.pool()
    bench.pools.clear()  # It is never launched.
    sweep, holdings = pool._parts.lost_claims.sweep, pool._parts.holdings
    claimed(bench.store, pool.identity.worker_id)
    assert sweep() == 0
    with holdings.claiming():
        assert sweep() == 1
