"""What the sockets of an event loop leave to be done beside them."""

from __future__ import annotations

import asyncio

import pytest

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.realtime.loop_work import LoopWork


class Box:
    def __init__(self) -> None:
        self.flushed = 0

    def flush(self) -> None:
        self.flushed += 1


async def test_what_waits_is_sent_at_the_end_of_the_turn() -> None:
    work, boxes = LoopWork(), [Box(), Box()]
    for each in boxes:
        work.flush_soon(each)
    assert [each.flushed for each in boxes] == [0, 0]
    await asyncio.sleep(0)
    assert [each.flushed for each in boxes] == [1, 1]


async def test_tick_wakes_who_waits_for_it_and_nobody_later() -> None:
    work = LoopWork()
    waiting = asyncio.ensure_future(work.next_tick())
    await asyncio.sleep(0)
    work.tick()
    await waiting
    late = asyncio.ensure_future(work.next_tick())
    await asyncio.sleep(0)
    assert not late.done()
    late.cancel()


async def test_task_that_fails_is_logged_and_an_outage_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(error: Exception) -> None:
        raise error

    work = LoopWork()
    for error in (RedisUnavailable("away"), LookupError("a fault")):
        work.start(fail(error))
    await work.settle()
    assert [(each.levelname, bool(each.exc_info)) for each in caplog.records] == [
        ("WARNING", False),
        ("ERROR", True),
    ]
