from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis

from pleme_redis_django import LockManager
from pleme_redis_django.redis_state.server.keyspace import lock_keys


@pytest.fixture
def permits_in_use(raw_redis: redis.Redis) -> Callable[[], int]:
    return lambda: int(raw_redis.zcard(lock_keys("acme", "gpu").semaphore))


def test_one_semaphore_is_entered_again_by_the_same_thread(permits_in_use: Callable[[], int]) -> None:
    semaphore = LockManager("acme").semaphore("gpu", 5, 60)
    with semaphore as outer:
        with semaphore as inner:
            assert permits_in_use() == 2
        assert permits_in_use() == 1
        assert inner.remaining_seconds == 0 < outer.remaining_seconds
    assert permits_in_use() == 0


async def test_one_semaphore_is_entered_again_by_the_same_task(
    loop_clients: None, permits_in_use: Callable[[], int]
) -> None:
    semaphore = LockManager("acme").semaphore("gpu", 5, 60)
    async with semaphore as outer:
        async with semaphore as inner:
            assert permits_in_use() == 2
        assert permits_in_use() == 1
        assert inner.remaining_seconds == 0 < outer.remaining_seconds
    assert permits_in_use() == 0


async def test_each_task_gives_back_its_own_permit(
    loop_clients: None, permits_in_use: Callable[[], int]
) -> None:
    semaphore = LockManager("acme").semaphore("gpu", 5, 60)
    everybody_is_inside = asyncio.Barrier(3)

    async def work() -> None:
        async with semaphore as guard:
            await everybody_is_inside.wait()
        assert guard.remaining_seconds == 0 and not guard.lost

    await asyncio.gather(*(work() for _ in range(3)))
    assert permits_in_use() == 0


async def test_a_block_is_left_by_another_task(loop_clients: None, permits_in_use: Callable[[], int]) -> None:
    semaphore = LockManager("acme").semaphore("gpu", 5, 60)

    async def rows() -> AsyncIterator[int]:
        async with semaphore:
            yield 1

    generator = rows()
    assert await asyncio.create_task(anext(generator)) == 1
    assert permits_in_use() == 1
    assert [row async for row in generator] == []
    assert permits_in_use() == 0


async def test_a_stranger_who_leaves_a_block_of_several_is_told(
    loop_clients: None, permits_in_use: Callable[[], int]
) -> None:
    semaphore = LockManager("acme").semaphore("gpu", 5, 60)
    for _ in range(2):
        await asyncio.create_task(semaphore.__aenter__())
    with pytest.raises(
        RuntimeError, match=r"'gpu' was left by a thread or task that had not entered it, and 2"
    ):
        await semaphore.__aexit__(None, None, None)
    assert permits_in_use() == 2


class AsyncReport:
    async def __call__(self, locks: LockManager) -> bool:
        await asyncio.sleep(0)
        return await locks.aholder("report") is not None


async def test_a_callable_object_that_is_async_runs_under_the_lock(loop_clients: None) -> None:
    locks = LockManager("acme")
    report: Any = locks.lock("report", 30)(AsyncReport().__call__)
    assert await report(locks)
    held: Any = locks.lock("report", 30)(AsyncReport())
    assert await held(locks)


def _rows() -> Iterator[int]:
    yield 1


async def _arows() -> AsyncIterator[int]:
    yield 1


class Rows:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize("function", [_rows, _arows, Rows()])
def test_a_generator_is_not_decorated(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"is a generator.*Write `with locks\.lock"):
        LockManager("acme").lock("x", 30)(function)
