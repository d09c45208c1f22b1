"""Jobs that wait for something else than the database, as most of those that call an API do."""

from __future__ import annotations

import asyncio
import time

from pleme_redis_django import job

WAIT_SECONDS = 0.01
BRIEF_SECONDS = 0.005


@job
def wait_in_a_thread() -> None:
    time.sleep(WAIT_SECONDS)


@job
def wait_briefly() -> None:
    time.sleep(BRIEF_SECONDS)


@job
async def wait_in_the_loop() -> None:
    await asyncio.sleep(WAIT_SECONDS)
