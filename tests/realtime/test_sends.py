"""A send that is begun without a task."""

from __future__ import annotations

import asyncio

import pytest

from pleme_redis_django.realtime import sends


async def test_send_that_waits_for_nothing_is_done_at_once() -> None:
    async def send() -> None: ...

    assert sends.begin(send()) is None


async def test_rest_of_a_send_is_what_is_awaited() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    reached: list[int] = []

    async def send() -> None:
        await first.wait()
        reached.append(1)
        await second.wait()
        reached.append(2)

    rest = sends.begin(send())
    assert rest is not None
    first.set()
    second.set()
    await rest
    assert reached == [1, 2]


async def test_faults_are_raised_where_they_happen() -> None:
    go_on = asyncio.Event()

    async def send(waits: bool) -> None:
        if waits:
            await go_on.wait()
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        sends.begin(send(False))
    rest = sends.begin(send(True))
    assert rest is not None
    go_on.set()
    with pytest.raises(OSError, match="gone"):
        await rest


async def test_any_awaitable_can_be_sent() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    rest = sends.begin(future)
    assert rest is not None
    future.set_result(None)
    await rest
