"""Interrupts: they hit the handler that they are meant for, and neither the engine nor the next one."""

from __future__ import annotations

import sys
import threading

import pytest

from pleme_redis_django.exceptions import JobCancelled, JobTimeout
from pleme_redis_django.jobs.worker.interrupts import Interruptible
from tests.jobs.handler_threads import HandlerThread
from tests.waiting import wait_until


def spin() -> None:
    while True:
        pass


@pytest.mark.parametrize("kind", [JobTimeout, JobCancelled])
def test_a_handler_that_computes_for_ever_is_interrupted(kind: type[BaseException]) -> None:
    thread = HandlerThread(spin, lambda: "next")
    assert thread.interrupt(0, kind) is True
    assert thread.join() == [kind, "next"]
    assert thread.interrupted == [True, False]


def test_a_second_interrupt_is_not_sent() -> None:
    gate = threading.Event()

    def stubborn() -> str:
        try:
            spin()
        except JobTimeout:
            gate.wait(20)
        return "done all the same"

    thread = HandlerThread(stubborn)
    assert thread.interrupt(0) is True
    assert thread.interrupt(0, JobCancelled) is False
    gate.set()
    assert thread.join() == ["done all the same"]
    assert thread.interrupted == [True]


def test_an_interrupt_that_comes_after_the_end_of_its_handler_hits_nobody() -> None:
    gate = threading.Event()
    thread = HandlerThread(lambda: 1, lambda: gate.wait(20))
    assert thread.begun[1].wait(20)
    assert thread.interruptible.interrupt(0, JobTimeout) is False
    gate.set()
    assert thread.join() == [1, True]
    assert thread.interrupted == [False, False]


def test_what_a_lock_guards_is_released_by_an_interrupt() -> None:
    lock = threading.Lock()

    def holds() -> None:
        with lock:
            spin()

    thread = HandlerThread(holds)
    wait_until(lock.locked)
    assert thread.interrupt(0) is True
    assert thread.join() == [JobTimeout]
    assert not lock.locked()


def test_interrupts_at_every_moment_of_short_handlers_hit_their_own_handler_or_nobody(
    quick_threads: None,
) -> None:
    """Fifty thousand handlers end while somebody interrupts whichever runs: each that was hit says so, once.

    Whoever asks before the handler has begun leaves word, and is told that nothing was sent: it comes at the beginning.
    """
    thread = Interruptible()
    thread.bind()
    count, current, over = 50_000, [-1], threading.Event()
    asked: set[int] = set()
    sent: set[int] = set()
    hit: set[int] = set()
    hit_as_it_began: set[int] = set()
    interrupted: set[int] = set()

    def interrupt_all() -> None:
        while not over.is_set():
            number = current[0]
            if number < 0:
                continue
            asked.add(number)
            if thread.interrupt(number, JobTimeout):
                sent.add(number)

    def handler() -> None:
        sum(range(3))

    interrupter = threading.Thread(target=interrupt_all)
    interrupter.start()
    try:
        for number in range(count):
            has_begun = False
            try:
                try:
                    current[0] = number
                    thread.enter(number)
                    has_begun = True
                    handler()
                    thread.leave()
                except BaseException:
                    thread.leave()
                    hit.add(number)
            except BaseException:
                thread.leave()
                hit.add(number)
            if number in hit and not has_begun:
                hit_as_it_began.add(number)
            if thread.was_interrupted:
                interrupted.add(number)
    finally:
        over.set()
        interrupter.join()
    assert hit <= interrupted
    assert interrupted == sent | hit_as_it_began
    assert hit_as_it_began <= asked


def test_an_interrupt_leaves_python_as_it_was() -> None:
    """CPython 3.11 traces no call while it looks for an exception that was taken back."""
    thread = HandlerThread(spin)
    assert thread.interrupt(0) is True
    assert thread.join() == [JobTimeout]
    traced = threading.Thread(target=_call_traced, daemon=True)
    traced.start()
    traced.join(20)
    assert not traced.is_alive()


def _call_traced() -> None:
    sys.settrace(lambda *_: None)
    (lambda: None)()
    sys.settrace(None)


def test_an_interrupt_that_comes_before_its_handler_is_called_comes_then() -> None:
    thread, steps = Interruptible(), []
    assert thread.interrupt("first", JobTimeout) is False
    for handler in ("first", "second"):
        try:
            thread.enter(handler)
            steps.append(handler)
        except JobTimeout:
            steps.append("interrupted")
        thread.leave()
    assert steps == ["interrupted", "second"]
