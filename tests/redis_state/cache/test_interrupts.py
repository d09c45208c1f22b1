"""The cache in a handler that is interrupted: a builder is, and leaves the entry to others."""

from __future__ import annotations

import threading
from typing import Any

from pleme_redis_django import CacheManager
from pleme_redis_django.exceptions import JobTimeout
from tests.jobs.handler_threads import HandlerThread


def test_an_interrupted_builder_gives_its_lease_back() -> None:
    building, cache = threading.Event(), CacheManager("acme")

    def build_for_ever() -> Any:
        building.set()
        while True:
            pass

    thread = HandlerThread(lambda: cache.get_or_set("report", build_for_ever, 60, build_seconds=600))
    assert building.wait(20)
    assert thread.interrupt(0) is True
    assert thread.join() == [JobTimeout]
    # Nobody waits for the ten minutes of the lease.
    assert cache.get_or_set("report", lambda: "built", 60, wait_seconds=600) == "built"


def test_no_reply_is_left_in_a_connection_whenever_the_interrupt_comes() -> None:
    cache = CacheManager("acme")
    cache.set_many({str(number): number for number in range(10)}, 60)
    wrong: list[Any] = []

    def read() -> None:
        while True:
            for number in range(10):
                if (found := cache.get(str(number))) != number:
                    wrong.append((number, found))

    for steps in range(0, 3_000, 100):
        thread = HandlerThread(read)
        assert thread.begun[0].wait(20)
        for _bytecode in range(steps):
            pass
        thread.interrupt(0)
        assert thread.join() == [JobTimeout]
    assert wrong == []
