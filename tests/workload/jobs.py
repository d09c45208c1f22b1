"""Jobs that do something a test can see."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pleme_redis_django import JobContext, ProviderError, job


@job
def noop() -> None:
    """Do nothing, as fast as possible."""


@job
def add(left: int, right: int) -> int:
    return left + right


@job
async def add_slowly(left: int, right: int) -> int:
    await asyncio.sleep(0)
    return left + right


@job(max_retries=2, base_retry_delay=0)
def fail(message: str = "as asked") -> None:
    raise ProviderError(message)


@job
def count(ctx: JobContext, total: int) -> dict[str, Any]:
    for done in range(1, total + 1):
        ctx.progress(done, total)
    return {"attempt": ctx.attempt}


@job
def measure_delay(sent_at: float) -> float:
    """Return the seconds since ``sent_at`` (``time.time()`` of the enqueuer, on the same machine)."""
    return time.time() - sent_at
