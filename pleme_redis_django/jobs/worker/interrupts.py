"""Interrupts: an exception raised in the thread of a running handler, and never in the engine's own code.

CPython raises it at the thread's next bytecode
(https://docs.python.org/3/c-api/init.html#c.PyThreadState_SetAsyncExc), wherever that is by then. So a thread and
whoever interrupts it share a *token*: who takes it has won. A thread that has taken it is not interrupted any more;
one that finds it gone waits until the exception was sent, and takes it back where it has not come yet. A lock would
not do: the exception may come between its acquisition and the block that releases it.
"""

from __future__ import annotations

import ctypes
import threading
import time

from pleme_redis_django.exceptions import JobCancelled, JobTimeout

_SENT_LOOK_SECONDS = 0.0001

INTERRUPTS = (JobTimeout, JobCancelled)


def _set_async_exception(thread_id: int, kind: type[BaseException] | None) -> None:
    argument = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), argument)


class _Run:
    """One run of a handler: at most one exception is sent to it."""

    __slots__ = ("of", "sent", "token")

    def __init__(self, of: object) -> None:
        self.of = of
        # To pop from a list is one step for all threads.
        self.token: list[None] = [None]
        self.sent = False


class Interruptible:
    """One thread in which handlers run, one after the other.

    Since one exception at most comes in a run, two nested ``except`` around it, each of which calls ``leave``,
    catch it wherever it comes.
    """

    __slots__ = ("_run", "thread_id", "was_interrupted")

    def __init__(self) -> None:
        self.thread_id = 0
        self._run: _Run | None = None
        self.was_interrupted = False
        """Whether an exception was sent to the last run: the thread's connections may be in any state."""

    def enter(self, of: object) -> None:
        """A handler begins in this thread; it may be interrupted as soon as this returns."""
        self.thread_id = threading.get_ident()
        self.was_interrupted = False
        self._run = _Run(of)

    def leave(self) -> None:
        """The handler has ended: no exception comes after this. A second call does nothing."""
        while (run := self._run) is not None:
            try:
                self._leave(run)
            except INTERRUPTS:
                continue  # It came here: the only one that was sent.

    def _leave(self, run: _Run) -> None:
        try:
            run.token.pop()
        except IndexError:
            self.was_interrupted = True
            while not run.sent:
                time.sleep(_SENT_LOOK_SECONDS)
            _set_async_exception(self.thread_id, None)
        self._run = None

    def interrupt(self, of: object, kind: type[BaseException]) -> bool:
        """Raise ``kind`` in the handler that began as ``of``, from another thread; return whether it was sent."""
        run = self._run
        if run is None or run.of is not of:
            return False
        try:
            run.token.pop()
        except IndexError:
            return False  # It has ended, or was interrupted before.
        _set_async_exception(self.thread_id, kind)
        run.sent = True
        return True
