"""Jobs with limits, which leave behind when they ran."""

from __future__ import annotations

import asyncio
import time

from asgiref.sync import sync_to_async

from pleme_redis_django import JobContext, Limit, job
from tests.faults.effects import leave
from tests.faults.jobs import MANY_RETRIES

KEY_LIMIT, TYPE_LIMIT = 2, 3


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
