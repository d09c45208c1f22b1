"""Calls that an interrupt waits for: it comes right after them, and what they took is never lost."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django.exceptions import JobCancelled, JobTimeout
from pleme_redis_django.interruption import (
    give_back_if_interrupted,
    given_back,
    granted_or_undone,
    interruptible,
    uninterrupted,
)
from tests.jobs.handler_threads import HandlerThread


class Call:
    """A call of the package that lasts until it is let go."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def lasting(self) -> str:
        self.begun.set()
        assert self.let_go.wait(20)
        for _bytecode in range(1_000):
            pass  # An exception that was sent would come here.
        self.steps.append("the call reached its end")
        return "result"


def interrupted_in_the_call(call: Call, handler: Callable[[], Any]) -> HandlerThread:
    thread = HandlerThread(handler)
    assert call.begun.wait(20)
    assert thread.interrupt(0) is False  # It waits.
    call.let_go.set()
    return thread


@pytest.fixture
def call() -> Call:
    return Call()


def test_an_interrupt_that_is_due_in_a_call_comes_right_after_it(call: Call) -> None:
    def handler() -> None:
        uninterrupted(call.lasting)()
        call.steps.append("the handler goes on")

    thread = interrupted_in_the_call(call, handler)
    assert thread.join() == [JobTimeout]
    assert call.steps == ["the call reached its end"]
    assert thread.interrupted == [True]


def test_an_interrupt_waits_for_the_outermost_call(call: Call) -> None:
    @uninterrupted
    def outer() -> None:
        uninterrupted(call.lasting)()
        call.steps.append("the outer call too")

    thread = interrupted_in_the_call(call, outer)
    assert thread.join() == [JobTimeout]
    assert call.steps == ["the call reached its end", "the outer call too"]


def test_an_interrupt_comes_in_what_a_call_waits_for(call: Call) -> None:
    def wait() -> None:
        call.begun.set()
        while True:
            pass

    @uninterrupted
    def outer() -> None:
        try:
            interruptible(wait)
        finally:
            call.steps.append("tidied up")

    thread = HandlerThread(outer)
    assert call.begun.wait(20)
    assert thread.interrupt(0) is True
    assert thread.join() == [JobTimeout]
    assert call.steps == ["tidied up"]


def test_an_interrupt_that_is_due_comes_before_a_wait(call: Call) -> None:
    @uninterrupted
    def outer() -> None:
        call.lasting()
        interruptible(call.steps.append, "waits all the same")

    assert interrupted_in_the_call(call, outer).join() == [JobTimeout]
    assert call.steps == ["the call reached its end"]


def test_a_handler_that_was_interrupted_once_may_make_calls_and_is_not_interrupted_again(call: Call) -> None:
    def handler() -> str:
        try:
            uninterrupted(call.lasting)()
        except JobTimeout:
            uninterrupted(lambda: interruptible(call.steps.append, "tidied up"))()
        return "done"

    thread = interrupted_in_the_call(call, handler)
    assert thread.join() == ["done"]
    assert thread.interrupt(0, JobCancelled) is False
    assert call.steps == ["the call reached its end", "tidied up"]


def test_an_error_of_the_call_is_the_context_of_the_interrupt(call: Call) -> None:
    seen: list[BaseException | None] = []

    @uninterrupted
    def failing() -> None:
        call.lasting()
        raise ValueError("as asked")

    def handler() -> None:
        try:
            failing()
        except JobTimeout as interrupt:
            seen.append(interrupt.__context__)

    interrupted_in_the_call(call, handler).join()
    assert isinstance(seen[0], ValueError)


def test_what_a_call_took_is_undone_if_its_caller_never_gets_it(call: Call) -> None:
    take = granted_or_undone(lambda taken: call.steps.append(f"undid {taken}"))(call.lasting)
    assert interrupted_in_the_call(call, take).join() == [JobTimeout]
    assert call.steps == ["the call reached its end", "undid result"]


@pytest.mark.parametrize("forgotten", [True, False])
def test_what_an_interrupted_handler_left_open_is_given_back_after_it(call: Call, forgotten: bool) -> None:
    def handler() -> None:
        for number in (1, 2):
            give_back_if_interrupted(number, lambda number=number: call.steps.append(f"gave {number} back"))
        given_back("another")
        if not forgotten:
            given_back(2)
        uninterrupted(call.lasting)()

    assert interrupted_in_the_call(call, handler).join() == [JobTimeout]
    after = ["gave 2 back", "gave 1 back"] if forgotten else ["gave 1 back"]
    assert call.steps == ["the call reached its end", *after]


def test_what_a_handler_that_ended_by_itself_left_open_is_its_own_affair(call: Call) -> None:
    thread = HandlerThread(lambda: give_back_if_interrupted(1, lambda: call.steps.append("gave it back")))
    assert thread.join() == [None]
    assert (call.steps, thread.interruptible.left_open) == ([], {})


def test_outside_of_a_handler_nothing_is_kept(call: Call) -> None:
    call.let_go.set()
    give_back_if_interrupted(1, call.lasting)
    assert granted_or_undone(print)(lambda: interruptible(uninterrupted(call.lasting)))() == "result"


def test_interrupts_at_every_moment_come_once_and_in_no_call(quick_threads: None) -> None:
    """Each of a thousand handlers makes short calls without end, until somebody interrupts it."""
    begun: list[None] = []
    ended: list[None] = []
    held: set[object] = set()

    @uninterrupted
    def call() -> None:
        begun.append(None)
        sum(range(3))
        ended.append(None)

    @granted_or_undone(held.discard)
    def take() -> object:
        call()
        interruptible(sum, range(3))
        held.add(taken := object())
        return taken

    def handler() -> None:
        while True:
            call()
            taken = take()
            try:
                sum(range(2))
            finally:
                held.discard(taken)

    count, chance = 1_000, random.Random(12)
    thread = HandlerThread(*[handler] * count)
    for number in range(count):
        assert thread.begun[number].wait(20)
        for _bytecode in range(chance.randrange(300)):
            pass
        thread.interrupt(number)
    assert thread.join() == [JobTimeout] * count
    assert thread.interrupted == [True] * count
    assert len(begun) == len(ended)
    assert held == set()
