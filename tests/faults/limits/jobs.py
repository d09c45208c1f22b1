"""Jobs with limits, which leave behind when they ran."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from asgiref.sync import sync_to_async

from pleme_redis_django import JobContext, Limit, job
from tests.faults.effects import leave
from tests.faults.jobs import MANY_RETRIES
from tests.waiting import wait_for

KEY_LIMIT, TYPE_LIMIT = 2, 3
MANY_LIMIT = 3
LONGEST_WAIT_SECONDS = 120.0


def _key(key: str) -> str:
    return key


@job(
    max_retries=MANY_RETRIES,
    base_retry_delay=0,
    limits=[Limit(KEY_LIMIT, key=_key, name="fault"), Limit(TYPE_LIMIT)],
)
def record_limited(ctx: JobContext, key: str, seconds: float = 0.0) -> int:
    """Leave an effect at the start and at the end of ``seconds`` of work."""
    leave(ctx, "begin")
    time.sleep(seconds)
    leave(ctx, "end")
    return ctx.attempt


@job(max_retries=MANY_RETRIES, base_retry_delay=0, limits=Limit(KEY_LIMIT, key=_key, name="fault"))
async def record_limited_async(ctx: JobContext, key: str, seconds: float = 0.0) -> int:
    """Do as ``record_limited`` does, in the event loop."""
    await sync_to_async(leave)(ctx, "begin")
    await asyncio.sleep(seconds)
    await sync_to_async(leave)(ctx, "end")
    return ctx.attempt


@job(max_retries=MANY_RETRIES, base_retry_delay=0, limits=Limit(KEY_LIMIT, key=_key, name="fault"))
def hold_limited(ctx: JobContext, key: str, path: str) -> int:
    """Leave an effect at the start, and one at the end once ``path`` exists."""
    leave(ctx, "begin")
    wait_for(Path(path).exists, f"{path} appears", deadline_seconds=LONGEST_WAIT_SECONDS)
    leave(ctx, "end")
    return ctx.attempt


@job(max_retries=MANY_RETRIES, base_retry_delay=0, limits=Limit(MANY_LIMIT, key=_key, name="many"))
def record_of_many(ctx: JobContext, key: str) -> int:
    """Leave an effect at the start and at the end of no work."""
    leave(ctx, "begin")
    leave(ctx, "end")
    return ctx.attempt
