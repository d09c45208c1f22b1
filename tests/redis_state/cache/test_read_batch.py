from __future__ import annotations

from pleme_redis_django import CacheManager
from tests.round_trips import count_round_trips


async def test_reads_of_many_tasks_are_one_mget(loop_clients: None) -> None:
    import asyncio

    cache = CacheManager("acme")
    await cache.aset_many({str(n): n for n in range(50)}, 300)
    with count_round_trips() as calls:
        assert await asyncio.gather(*(cache.aget(str(n)) for n in range(60))) == [*range(50), *[None] * 10]
        assert calls.of("mget") == 1


async def test_a_cancelled_read_leaves_the_others_theirs(loop_clients: None) -> None:
    import asyncio

    cache = CacheManager("acme")
    await cache.aset("x", 1, 300)
    tasks = [asyncio.ensure_future(cache.aget("x")) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1::2] == [1] * 5
    assert all(isinstance(each, asyncio.CancelledError) for each in results[::2])
