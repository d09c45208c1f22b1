"""Isolation: attempts that run apart, each in a process of its own, and the warm processes that wait for one.

A process is started when an attempt finds none that is free, and kept for the next one. So there are never more of
them than attempts that ran apart at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from pleme_redis_django.exceptions import ExecutionFailed, JobCancelled, PlemeError
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Ending

NOT_ISOLATED = "not_isolated"
"""The code of an attempt that was to run apart, and for which there was no process."""


class ProcessDied(PlemeError):
    """The process of an attempt has ended before the attempt.

    ``trace``: where its handler was, as far as that is known. ``because``: why its worker has ended it; None: it
    has died of itself.
    """

    def __init__(self, message: str, *, trace: str = "", because: BaseException | None = None) -> None:
        super().__init__(message)
        self.trace = trace
        self.because = because


class Isolation(Protocol):
    """Where attempts run apart; every method from any thread."""

    def reserve(self, context: JobContext) -> None:
        """Have a process ready for the attempt. Raises ExecutionFailed when none can be started."""
        ...

    def release(self, context: JobContext) -> None:
        """Let others have the process of an attempt that does not run, or has ended."""
        ...

    def run(self, context: JobContext) -> Ending:
        """Run the attempt in its process, and wait for its ending. Raises ProcessDied when it leaves none."""
        ...

    def tell(self, context: JobContext) -> None:
        """Tell a running attempt that it is to be cancelled, or has timed out, as its context says."""
        ...

    def kill(self, context: JobContext, because: BaseException) -> bool:
        """End the process of a running attempt, because of that; return whether it has one."""
        ...

    def end_running(self) -> None:
        """End the processes of all attempts that run."""
        ...

    def stop(self) -> None:
        """End every process; attempts that are running have been ended."""
        ...


class NoIsolation:
    """Refuses: nothing here can start a process."""

    def reserve(self, context: JobContext) -> None:
        """Refuse the attempt."""
        raise ExecutionFailed(
            f"{context.job.job_type} is isolated, and its worker cannot start processes. Run it with manage.py "
            "runworkers.",
            error_code=NOT_ISOLATED,
        )

    def release(self, context: JobContext) -> None:
        """Do nothing."""

    def run(self, context: JobContext) -> Ending:
        """Refuse the attempt."""
        self.reserve(context)
        raise AssertionError("reserve() refuses")

    def tell(self, context: JobContext) -> None:
        """Do nothing."""

    def kill(self, context: JobContext, because: BaseException) -> bool:
        """Return that the attempt has no process."""
        return False

    def end_running(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class WarmProcess(Protocol):
    """A process that runs one attempt at a time."""

    def assign(self, context: JobContext | None) -> None:
        """Be there for this attempt alone, or for nobody."""
        ...

    def run(self, context: JobContext) -> Ending: ...
    def tell(self, context: JobContext) -> None: ...
    def kill(self, context: JobContext, because: BaseException) -> None: ...

    def is_spent(self) -> bool:
        """Whether no other attempt shall run in it: it has died, or reached a limit of its pool."""
        ...

    def leave(self) -> None:
        """Have it end; it is not waited for."""
        ...

    def has_ended(self) -> bool: ...

    def end(self) -> None:
        """Wait a moment for its end, and kill it after that."""
        ...


class WarmProcesses:
    """The processes of one worker."""

    def __init__(self, start: Callable[[], WarmProcess]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._free: list[WarmProcess] = []
        self._of: dict[JobContext, WarmProcess] = {}
        self._leaving: list[WarmProcess] = []
        self._is_over = False

    def reserve(self, context: JobContext) -> None:
        """Have a process ready for the attempt. Raises ExecutionFailed when none can be started."""
        while (process := self._take()) is not None and process.is_spent():
            self._let_go(process)
        process = process or self._start()
        process.assign(context)
        with self._lock:
            self._of[context] = process

    def _take(self) -> WarmProcess | None:
        with self._lock:
            # The one that was used last is the warmest.
            return self._free.pop() if self._free else None

    def release(self, context: JobContext) -> None:
        """Let others have the process of an attempt that does not run, or has ended."""
        with self._lock:
            process = self._of.pop(context, None)
        if process is None:
            return
        process.assign(None)
        if self._is_over or process.is_spent():
            self._let_go(process)
            return
        with self._lock:
            self._free.append(process)

    def _let_go(self, process: WarmProcess) -> None:
        process.leave()
        with self._lock:
            # To ask is what clears away the entry of one that has ended in the system's table.
            self._leaving = [one for one in (*self._leaving, process) if not one.has_ended()]

    def run(self, context: JobContext) -> Ending:
        """Run the attempt in its process, and wait for its ending. Raises ProcessDied when it leaves none."""
        try:
            return self._of[context].run(context)
        finally:
            self.release(context)

    def tell(self, context: JobContext) -> None:
        """Tell a running attempt that it is to be cancelled, or has timed out, as its context says."""
        if (process := self._of.get(context)) is not None:
            process.tell(context)

    def kill(self, context: JobContext, because: BaseException) -> bool:
        """End the process of a running attempt, because of that; return whether it has one."""
        if (process := self._of.get(context)) is None:
            return False
        process.kill(context, because)
        return True

    def end_running(self) -> None:
        """End the processes of all attempts that run."""
        with self._lock:
            running = list(self._of)
        for context in running:
            self.kill(context, JobCancelled("The worker has given the job back."))

    def stop(self) -> None:
        """End every process; attempts that are running have been ended."""
        self._is_over = True
        with self._lock:
            free, self._free = self._free, []
        for process in free:
            self._let_go(process)
        for process in self._leaving:
            process.end()
