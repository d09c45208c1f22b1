"""Locks beside redis-py's own Lock: taking and releasing a free one, and handing over a contended one."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from typing import Any

import redis
import redis.asyncio

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.side_by_side import amicroseconds, microseconds
from tests.waiting import wait_until

SLICES, PER_SLICE = 80, 50
HAND_OVERS, HAND_OVERS_POLLED = 200, 15
TARGET_RATIO = 1.15
TARGET_HAND_OVER_MS = 3.0


def run(servers: BenchmarkServers) -> list[Row]:
    url = servers.services.redis_url
    sync, threads = _sync(url), _hand_overs(url)
    ours, theirs = asyncio.run(_async(url))
    return [*_rows("sync", *sync), *_rows("async", ours, theirs), *threads]


def _rows(kind: str, ours: float, theirs: float) -> list[Row]:
    return [
        Row(
            name=f"lock, take and release, {kind}", value=1e6 / ours, unit="1/s", note="with fence and owner"
        ),
        Row(name=f"redis-py Lock, {kind}", value=1e6 / theirs, unit="1/s"),
        Row(
            name=f"lock against redis-py, {kind}",
            value=ours / theirs,
            unit="x time",
            target=TARGET_RATIO,
            at_least=False,
            note="taken in turns",
        ),
    ]


def _sync(url: str) -> tuple[float, float]:
    from pleme_redis_django import LockManager

    locks = LockManager("bench")

    def ours() -> None:
        guard = locks.try_lock("free", 30)
        assert guard is not None and guard.release()

    with redis.Redis.from_url(url) as client:

        def theirs() -> None:
            lock = client.lock("free", timeout=30)
            assert lock.acquire(blocking=False)
            lock.release()

        spent = microseconds({"ours": ours, "theirs": theirs}, slices=SLICES, per_slice=PER_SLICE)
    return spent["ours"], spent["theirs"]


async def _async(url: str) -> tuple[float, float]:
    from pleme_redis_django import LockManager
    from pleme_redis_django.redis_state.server.connections import close_async_clients

    locks = LockManager("bench")

    async def ours() -> None:
        guard = await locks.atry_lock("free", 30)
        assert guard is not None and await guard.arelease()

    async with redis.asyncio.Redis.from_url(url) as client:

        async def theirs() -> None:
            lock = client.lock("free", timeout=30)
            assert await lock.acquire(blocking=False)
            await lock.release()

        spent = await amicroseconds({"ours": ours, "theirs": theirs}, slices=SLICES, per_slice=PER_SLICE)
    await close_async_clients()
    return spent["ours"], spent["theirs"]


def _hand_overs(url: str) -> list[Row]:
    """From the moment the holder starts to release until a waiting thread holds the lock."""
    from pleme_redis_django import LockManager

    locks = LockManager("bench")
    with redis.Redis.from_url(url) as client:

        def blocked() -> bool:
            info: Any = client.info("clients")
            return bool(info["blocked_clients"])

        ours = [_hand_over(lambda: locks.lock("contended", 30).acquire(), blocked) for _ in range(HAND_OVERS)]
        polled = [
            _hand_over(
                lambda: _taken(client.lock("contended", timeout=30)), lambda: True, settle=0.01 * number
            )
            for number in range(HAND_OVERS_POLLED)
        ]
    return [
        Row(
            name="lock hand-over, median",
            value=statistics.median(ours),
            unit="ms",
            target=TARGET_HAND_OVER_MS,
            at_least=False,
            note="release to held, another thread",
        ),
        Row(name="lock hand-over, p99", value=statistics.quantiles(ours, n=100)[98], unit="ms"),
        Row(
            name="redis-py Lock hand-over, median",
            value=statistics.median(polled),
            unit="ms",
            note="polls every 100 ms",
        ),
    ]


def _taken(lock: Any) -> Any:
    assert lock.acquire(blocking=True)
    # redis-py keeps the token in the thread that took the lock; another one is to release it.
    lock.local = type("Token", (), {"token": lock.local.token})()
    return lock


def _hand_over(take: Any, blocked: Any, *, settle: float = 0.0) -> float:
    """Return milliseconds; ``settle`` puts the release at different moments of a polling interval."""
    holder, taken = take(), []

    def wait() -> None:
        lock = take()
        taken.append(time.perf_counter())
        lock.release()

    waiter = threading.Thread(target=wait)
    waiter.start()
    wait_until(blocked, "somebody waits for the lock")
    time.sleep(settle)
    released = time.perf_counter()
    holder.release()
    waiter.join()
    return 1000 * (taken[0] - released)
