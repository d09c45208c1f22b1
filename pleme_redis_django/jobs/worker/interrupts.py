"""Interrupts: an exception raised in the thread of a running handler, and never in the engine's own code.

CPython raises it at the thread's next bytecode
(https://docs.python.org/3/c-api/init.html#c.PyThreadState_SetAsyncExc), wherever that is by then. So a thread and
whoever interrupts it share a *token* for each handler: whoever takes it has won. A thread that has taken it is not
interrupted any more; one that finds it gone waits until the exception was sent, and sees to it that it has come. A lock
would not do: the exception may come between its acquisition and the block that releases it. A call of the package takes
the token for as long as it lasts; whoever interrupts meanwhile leaves word.

A sent one is never taken back (``None`` in its place): up to 3.12, CPython would then look for it at every call and
turn of a loop in all threads, until one comes somewhere. Python code of the process takes up to half as long again
(3.12), and never gets past the first call while a debugger or a coverage tool traces it (3.11).
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable

from pleme_redis_django.exceptions import JobCancelled, JobTimeout
from pleme_redis_django.interruption import set_interruptible_thread

_SENT_LOOK_SECONDS = 0.0001

INTERRUPTS = (JobTimeout, JobCancelled)


def _set_async_exception(thread_id: int, kind: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(kind))


def _have_it_come() -> None:
    """Raise here what was sent to this thread, or one like it if that has been raised already, and drop it."""
    try:
        # It takes the place of one that has not come yet.
        _set_async_exception(threading.get_ident(), JobTimeout)
        while True:  # It comes at a turn of this loop at the latest.
            pass
    except INTERRUPTS:
        pass


class Interruptible:
    """One thread in which handlers run, one after the other.

    At most one exception is sent to each handler. Since one at most comes from outside, two nested ``except`` around
    it, each of which calls ``leave``, catch it wherever it comes.
    """

    __slots__ = (
        "_due",
        "_has_token",
        "_of",
        "_sent_to",
        "_tokens",
        "left_open",
        "thread_id",
        "was_interrupted",
    )

    def __init__(self) -> None:
        self.thread_id = 0
        self._of: object = None
        # By what runs, not one for all: nobody takes the token of the next handler for that of this one. To pop
        # from a dict is one step for all threads.
        self._tokens: dict[object, bool] = {}
        self._sent_to: object = None
        self._has_token = False
        """Whether this thread has taken the token, for a call of the package."""
        self._due: tuple[object, type[BaseException]] | None = None
        self.was_interrupted = False
        """Whether an exception was sent to the last run: the thread's connections may be in any state."""
        self.left_open: dict[object, Callable[[], object]] = {}
        """What the handler has to give back, by what is open."""

    def bind(self) -> None:
        """Take the calling thread as the one that is meant; called once, before the first handler."""
        self.thread_id = threading.get_ident()
        set_interruptible_thread(self)

    def enter(self, of: object) -> None:
        """A handler begins in this thread; it may be interrupted as soon as this returns."""
        self.was_interrupted = False
        self._of = of
        self._tokens[of] = True
        if self._due is not None:
            self._raise_what_is_due(of)

    def leave(self) -> None:
        """The handler has ended: no exception comes after this. A second call does nothing."""
        while (of := self._of) is not None:
            try:
                self._leave(of)
            except INTERRUPTS:
                continue  # It came here: the only one that was sent.

    def _leave(self, of: object) -> None:
        if self._tokens.pop(of, None) is None:
            self.was_interrupted = True
            self._wait_until_sent(of)
            _have_it_come()
        self._of = None

    def _wait_until_sent(self, of: object) -> None:
        while self._sent_to is not of:
            time.sleep(_SENT_LOOK_SECONDS)

    def interrupt(self, of: object, kind: type[BaseException]) -> bool:
        """Raise ``kind`` in the handler that began as ``of``, from another thread; return whether it was sent.

        If the handler is in a call of the package, it comes after that.
        """
        self._due = (of, kind)  # First: whoever gives the token back looks here next.
        if self._tokens.pop(of, None) is None:
            return False  # It does not run here, has ended, was interrupted before, or is in such a call.
        _set_async_exception(self.thread_id, kind)
        self._sent_to = of
        return True

    def shield(self) -> bool:
        """A call of the package begins in the handler; return what ``unshield`` takes."""
        of = self._of
        if of is None or self._has_token:
            return False
        if self._tokens.pop(of, None) is None:
            self._wait_until_sent(of)
            for _step in range(2):
                pass  # If it has not come yet, it comes here.
            return False
        self._has_token = True
        return True

    def unshield(self, is_outermost: bool) -> None:
        """The call is over."""
        if is_outermost and self._has_token:
            self._give_token_back()

    def open_shield(self) -> bool:
        """Let interrupts come inside the call; return what ``close_shield`` takes."""
        if not self._has_token:
            return False
        self._give_token_back()
        return True

    def close_shield(self, was_open: bool) -> None:
        """Go on in the call."""
        if was_open:
            self.shield()

    def _give_token_back(self) -> None:
        of = self._of
        self._has_token = False
        self._tokens[of] = True
        if self._due is not None:
            self._raise_what_is_due(of)

    def _raise_what_is_due(self, of: object) -> None:
        due = self._due
        if due is not None and due[0] is of and self._tokens.pop(of, None) is not None:
            self._sent_to = of
            raise due[1]
