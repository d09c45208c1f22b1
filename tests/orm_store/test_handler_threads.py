"""Threads of async handlers: one each, no more than so many at once, and none for those that need none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from asgiref.sync import sync_to_async

from pleme_redis_django.orm_store.handler_threads import HandlerThreads

pytestmark = pytest.mark.django_db(transaction=True)


def in_their_own_loop(*handlers: Callable[[], Awaitable[object]], most: int) -> list[object]:
    """Run handlers side by side, each with what a worker process gives it; return their results."""
    threads = HandlerThreads(most)

    async def around(handler: Callable[[], Awaitable[object]]) -> object:
        async with threads.around_handler():
            return await handler()

    async def together() -> list[object]:
        return list(await asyncio.gather(*map(around, handlers), return_exceptions=True))

    return asyncio.run(together())


def test_a_handler_keeps_its_thread_and_shares_it_with_nobody() -> None:
    meeting = asyncio.Barrier(3)

    async def handler() -> tuple[int, int]:
        first = await sync_to_async(threading.get_ident)()
        await meeting.wait()
        return first, await sync_to_async(threading.get_ident)()

    results = in_their_own_loop(*[handler] * 3, most=3)
    assert all(first == second for first, second in results)
    assert len(set(results)) == 3


def test_no_more_handlers_than_allowed_use_the_orm_at_once_and_the_others_wait_their_turn() -> None:
    now, most, order = 0, 0, []

    def handler(number: int) -> Callable[[], Awaitable[object]]:
        async def use() -> None:
            nonlocal now, most
            await sync_to_async(threading.get_ident)()
            order.append(number)
            now += 1
            most = max(most, now)
            for _turn in range(3):
                await sync_to_async(threading.get_ident)()
            now -= 1

        return use

    assert in_their_own_loop(*map(handler, range(8)), most=2) == [None] * 8
    assert most == 2
    assert order == list(range(8))


def test_handlers_that_do_not_use_the_orm_wait_for_nobody() -> None:
    meeting = asyncio.Barrier(4)

    async def holds_the_only_thread() -> str:
        await sync_to_async(threading.get_ident)()
        await meeting.wait()
        return "met"

    async def needs_none() -> str:
        await meeting.wait()
        return "met"

    assert in_their_own_loop(holds_the_only_thread, *[needs_none] * 3, most=1) == ["met"] * 4


def test_one_that_is_cancelled_while_it_waits_takes_nobodys_turn() -> None:
    waits = asyncio.Event()

    async def holds_the_only_thread() -> str:
        await sync_to_async(threading.get_ident)()
        await waits.wait()
        return "ended"

    async def is_cancelled() -> None:
        call = asyncio.create_task(sync_to_async(threading.get_ident)())
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        waits.set()

    async def comes_later() -> str:
        await waits.wait()
        await sync_to_async(threading.get_ident)()
        return "had its turn"

    results = in_their_own_loop(holds_the_only_thread, is_cancelled, comes_later, most=1)
    assert results == ["ended", None, "had its turn"]


def test_an_error_of_a_call_reaches_its_handler() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    (error,) = in_their_own_loop(sync_to_async(fail), most=1)
    assert isinstance(error, ZeroDivisionError)
