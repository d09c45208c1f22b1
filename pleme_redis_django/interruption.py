"""Interruption: calls of the package that a timeout or a cancel of the running job waits for.

The exception comes right after such a call, and never in the middle of it: a reply that nobody reads, or a lock
that was granted and that nobody knows of, would outlive the handler. Outside of a handler nothing can come, and a
call costs one look.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


class InterruptibleThread(Protocol):
    """A thread in which a handler runs."""

    left_open: dict[object, Callable[[], object]]
    """What has to be given back if the handler is interrupted before it does so; by what is open."""

    def shield(self) -> bool:
        """Let no exception come from here on, and raise here what was sent and has not come yet.

        Return whether the call that begins is not inside another one.
        """
        ...

    def unshield(self, is_outermost: bool) -> None:
        """Let exceptions come again, first the one that is due."""
        ...

    def open_shield(self) -> bool:
        """Let exceptions come inside a call, first the one that is due; return whether there is a call."""
        ...

    def close_shield(self, was_open: bool) -> None:
        """Go on in the call."""
        ...


class _Current(threading.local):
    thread: InterruptibleThread | None = None


_current = _Current()


def set_interruptible_thread(thread: InterruptibleThread) -> None:
    """The calling thread is one in which handlers run, until it ends."""
    _current.thread = thread


def uninterrupted(function: Callable[P, R]) -> Callable[P, R]:
    """Have the interrupt of a handler that makes this call wait until it has returned."""
    if len(inspect.signature(function).parameters) == 1:
        return cast("Callable[P, R]", _uninterrupted_with_one_argument(cast("Callable[[Any], R]", function)))

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        thread = _current.thread
        if thread is None:
            return function(*args, **kwargs)
        is_outermost = thread.shield()
        try:
            return function(*args, **kwargs)
        finally:
            thread.unshield(is_outermost)

    return call


def _uninterrupted_with_one_argument(function: Callable[[Any], R]) -> Callable[[Any], R]:
    """The same for what each request to Redis goes through: without a tuple and a dict it costs half, 0.1 us."""

    @functools.wraps(function)
    def call(argument: Any) -> R:
        thread = _current.thread
        if thread is None:
            return function(argument)
        is_outermost = thread.shield()
        try:
            return function(argument)
        finally:
            thread.unshield(is_outermost)

    return call


def granted_or_undone(undo: Callable[[Any], object]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return ``uninterrupted`` for a call that takes something: ``undo`` gives it back if the caller never gets it."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            thread, taken = _current.thread, None
            if thread is None:
                return function(*args, **kwargs)
            is_outermost = thread.shield()
            try:
                try:
                    taken = function(*args, **kwargs)
                finally:
                    thread.unshield(is_outermost)
                return taken
            except BaseException:
                if taken is not None:
                    undo(taken)
                raise

        return call

    return decorate


def interruptible(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``function``, which waits or is not the package's, so that an interrupt may come inside of another call."""
    thread = _current.thread
    if thread is None:
        return function(*args, **kwargs)
    was_open = thread.open_shield()
    try:
        return function(*args, **kwargs)
    finally:
        thread.close_shield(was_open)


def give_back_if_interrupted(key: object, give_back: Callable[[], object]) -> None:
    """Have ``give_back`` called after the handler if an interrupt keeps it from doing so itself."""
    if (thread := _current.thread) is not None:
        thread.left_open[key] = give_back


def given_back(key: object) -> None:
    """What was taken under ``key`` is given back."""
    if (thread := _current.thread) is not None:
        thread.left_open.pop(key, None)


def give_back_now(key: object) -> None:
    """Give back at once what was taken under ``key``."""
    if (thread := _current.thread) is not None and (give_back := thread.left_open.pop(key, None)) is not None:
        with contextlib.suppress(Exception):  # A lock whose server is away expires.
            give_back()


def give_back_all(left_open: dict[object, Callable[[], object]], *, interrupted: bool) -> None:
    """The handler is over: give back what an interrupted one has left open, what it took last first."""
    while left_open:
        _key, give_back = left_open.popitem()
        if interrupted:
            with contextlib.suppress(Exception):  # A lock whose server is away expires.
                give_back()
