"""LoopWatch: a loop that turns answers, and one that is blocked does not."""

from __future__ import annotations

import asyncio
import threading

from pleme_redis_django.jobs.worker.loop_watch import BLOCKED_SECONDS, LoopWatch
from pleme_redis_django.testing import ManualClock
from tests.waiting import wait_until


def test_a_loop_that_turns_is_never_blocked() -> None:
    loop, clock = asyncio.new_event_loop(), ManualClock()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    watch = LoopWatch(loop, clock)
    for _ in range(3):
        wait_until(lambda: watch._has_answered)
        clock.advance(BLOCKED_SECONDS)
        assert not watch.is_blocked()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_loop_that_does_not_answer_for_a_while_is_blocked_until_it_does() -> None:
    loop, clock = asyncio.new_event_loop(), ManualClock()
    watch = LoopWatch(loop, clock)
    assert not watch.is_blocked()
    clock.advance(BLOCKED_SECONDS)
    assert watch.is_blocked()
    loop.run_until_complete(asyncio.sleep(0))
    assert not watch.is_blocked()
    loop.close()


def test_a_closed_loop_may_be_asked() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    assert not LoopWatch(loop, ManualClock()).is_blocked()
