"""What the tests of builds share: a builder that they hold, and an entry that is due for a refresh."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest

from pleme_redis_django import CacheManager
from pleme_redis_django.redis_state.cache import envelope
from pleme_redis_django.redis_state.cache.building import EntryKeys
from pleme_redis_django.redis_state.server import keyspace


class Builder:
    """Counts its builds; ``hold()`` keeps it building until ``release()``."""

    def __init__(self, value: Any = "built") -> None:
        self.value = value
        self.builds = 0
        self.entered = threading.Event()
        self._go = threading.Event()
        self._go.set()

    def hold(self) -> None:
        self._go.clear()

    def release(self) -> None:
        self._go.set()

    def __call__(self) -> Any:
        self.builds += 1
        self.entered.set()
        assert self._go.wait(20)
        return self.value


def due_for_refresh(cache: CacheManager, key: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store a fresh entry that the next reader builds ahead of time, and no other one."""
    entry_key = keyspace.cache_entry(cache.product, key)
    header = cache._store.header(EntryKeys(product=cache.product, entry=entry_key)).run()
    cache._store.mset({entry_key: header + envelope.pack_tail(value, build_ms=100_000)}, 300_000).run()
    rolls = itertools.chain([0.999], itertools.repeat(0.5))  # -log(1 - roll) * 100 s: 691 s and 69 s
    monkeypatch.setattr("pleme_redis_django.redis_state.cache.operations.random.random", lambda: next(rolls))
