"""Locks of a handler that is interrupted: whatever the moment, none stays held."""

from __future__ import annotations

import dataclasses
import random
import threading
from typing import Any

from pleme_redis_django import LockManager
from pleme_redis_django.exceptions import JobTimeout
from pleme_redis_django.redis_state.locks.claims import LockClaim
from tests.jobs.handler_threads import HandlerThread

TTL_SECONDS = 60
# How many bytecodes of the handler pass, at most, before it is interrupted.
MOST_STEPS = 4_000


def is_free(locks: LockManager) -> bool:
    guard = locks.try_lock("x", TTL_SECONDS)
    return guard is not None and guard.release()


class SlowClaim(LockClaim):
    """A claim whose request is on its way until it is let go."""

    begun = threading.Event()
    let_go = threading.Event()

    def acquire(self, ttl_ms: int, *, will_wait: bool) -> Any:
        self.begun.set()
        assert self.let_go.wait(20)
        return super().acquire(ttl_ms, will_wait=will_wait)


def test_a_lock_that_is_granted_when_an_interrupt_is_due_is_released_at_once() -> None:
    locks = LockManager("acme")
    lock = dataclasses.replace(locks.lock("x", TTL_SECONDS), claim=lambda name: SlowClaim("acme", name))
    free_in_the_handler: list[bool] = []

    def handler() -> None:
        try:
            with lock:
                raise AssertionError("The block was entered.")
        except JobTimeout:
            free_in_the_handler.append(is_free(locks))
            raise

    for _ in range(2):  # The same object, again.
        SlowClaim.begun.clear()
        SlowClaim.let_go.clear()
        thread = HandlerThread(handler)
        assert SlowClaim.begun.wait(20)
        assert thread.interrupt(0) is False
        SlowClaim.let_go.set()
        assert thread.join() == [JobTimeout]
    assert free_in_the_handler == [True, True]


def test_a_handler_that_waits_for_a_lock_is_interrupted() -> None:
    locks = LockManager("acme")
    holder = locks.try_lock("x", TTL_SECONDS)
    assert holder is not None
    thread = HandlerThread(lambda: locks.lock("x", TTL_SECONDS, wait_seconds=600).acquire())
    thread.interrupt(0)
    assert thread.join() == [JobTimeout]
    assert holder.release()
    assert is_free(locks)


def test_no_lock_stays_held_whenever_the_interrupt_comes() -> None:
    locks, chance = LockManager("acme"), random.Random(12)
    lock = locks.lock("x", TTL_SECONDS, wait_seconds=10, auto_renew=True)
    locked = lock(lambda: None)

    def handler() -> None:
        while True:
            with lock:
                pass
            locked()

    for _ in range(60):
        thread = HandlerThread(handler)
        assert thread.begun[0].wait(20)
        for _step in range(chance.randrange(MOST_STEPS)):
            pass
        thread.interrupt(0)
        assert thread.join() == [JobTimeout]
        assert is_free(locks)
    assert not lock._threads._stacks
