"""Calls: a process looks at its rows at once."""

from __future__ import annotations

import asyncio
from typing import Any

from pleme_redis_django import JobStatus
from tests.jobs.pool_bench import NEVER_SECONDS, Bench, CallsOfATest
from tests.jobs.recording import (
    AsyncFunctionExecutor,
)
from tests.waiting import wait_until


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
