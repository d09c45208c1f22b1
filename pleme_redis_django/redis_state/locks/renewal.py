"""Renews a guard at each third of its time to live, until it is released, lost or forgotten.

A renewal keeps only a weak reference to its guard: if nothing else refers to it, it is not renewed any more, and its
lock expires. Renewals continue through an outage, and the guard's deadline says ``lost``.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from typing import Protocol

from pleme_redis_django.exceptions import RedisUnavailable

logger = logging.getLogger("pleme_redis_django.locks")


class Renewable(Protocol):
    """What is renewed: a guard."""

    @property
    def product(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def lost(self) -> bool: ...

    def renew(self) -> bool: ...

    async def arenew(self) -> bool: ...


class Renewal:
    """A daemon thread that renews one guard."""

    def __init__(self, guard: Renewable, ttl_ms: int) -> None:
        self._guard = weakref.ref(guard, lambda _gone: self.cancel())
        self._pause_seconds = ttl_ms / 3000
        self._cancelled = threading.Event()
        threading.Thread(target=self._run, name=f"renew {guard.name[:40]}", daemon=True).start()

    def cancel(self) -> None:
        self._cancelled.set()

    def _run(self) -> None:
        while not self._cancelled.wait(self._pause_seconds):
            guard = self._guard()
            if guard is None or not _renew(guard):
                return
            del guard


async def renew_until_cancelled(guard_ref: weakref.ref[Renewable], ttl_ms: int) -> None:
    """Renew a guard three times in its TTL, as a task of its event loop, until it is lost or gone."""
    while True:
        await asyncio.sleep(ttl_ms / 3000)
        guard = guard_ref()
        if guard is None or not await _arenew(guard):
            return
        del guard


def start_task(guard: Renewable, ttl_ms: int) -> asyncio.Task[None]:
    """Return the task that renews ``guard``; the guard cancels it when it is released."""
    return asyncio.create_task(
        renew_until_cancelled(weakref.ref(guard), ttl_ms), name=f"renew {guard.name[:40]}"
    )


def _renew(guard: Renewable) -> bool:
    try:
        return guard.renew() or _report_lost(guard)
    except RedisUnavailable as outage:
        return _report_outage(guard, outage)


async def _arenew(guard: Renewable) -> bool:
    try:
        return await guard.arenew() or _report_lost(guard)
    except RedisUnavailable as outage:
        return _report_outage(guard, outage)


def _report_lost(guard: Renewable) -> bool:
    if guard.lost:
        logger.warning("lock %s of %s was lost while it was being renewed", guard.name, guard.product)
    return False


def _report_outage(guard: Renewable, outage: RedisUnavailable) -> bool:
    logger.warning("lock %s of %s could not be renewed: %s", guard.name, guard.product, outage)
    return True
