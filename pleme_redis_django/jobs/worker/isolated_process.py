"""IsolatedProcess: the worker's side of one process in which attempts run apart, one at a time."""

from __future__ import annotations

import dataclasses
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from pleme_redis_django.exceptions import ExecutionFailed, JobCancelled
from pleme_redis_django.jobs.interface.bounds import DEFAULT_KILL_AFTER_SECONDS
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.worker.channel import (
    EXIT_CHANNEL_CLOSED,
    BadMessage,
    Channel,
    ChannelClosed,
    Message,
)
from pleme_redis_django.jobs.worker.ending_messages import ending_of
from pleme_redis_django.jobs.worker.executing_page import new_page_file
from pleme_redis_django.jobs.worker.isolation import NOT_ISOLATED, ProcessDied

# A large project on a machine that has much to do; an attempt's own time has not begun.
START_SECONDS = 120.0
# How often a worker looks whether the process is still there: one that it forked may keep the channel open.
LOOK_SECONDS = 0.25
# A process whose channel has ended is about to end; one that writes its memory down takes a while.
END_SECONDS = 5.0
# What it may take to end in good order.
LEAVE_SECONDS = 3.0
# What a process is given to say where it hangs, before it is killed.
TRACE_SECONDS = 0.25
TRACE_SIGNAL = signal.SIGQUIT
TRACE_MAX_BYTES = 64 * 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IsolatedProgram:
    """What is executed for a process, and what it is told first."""

    arguments: Sequence[str]
    """The options ``--channel-fd``, ``--trace-fd`` and ``--parent`` are added."""
    environment: Mapping[str, str]
    greeting: Message
    max_message_bytes: int
    config: WorkerPoolConfig
    message_of_job: Callable[[Any], Message]


class StartingThread:
    """The thread that starts processes, and lives as long as the worker.

    On Linux a process may ask to die with its parent, and that is the thread that has started it: prctl(2),
    PR_SET_PDEATHSIG.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_running = False
        self._orders: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[Any]]] = (
            queue.SimpleQueue()
        )

    def start(self, popen: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Return the process that ``popen`` starts. Raises what it raises."""
        with self._lock:
            if not self._is_running:
                threading.Thread(target=self._run, name="pleme-isolation", daemon=True).start()
                self._is_running = True
        started: Future[subprocess.Popen[bytes]] = Future()
        self._orders.put((popen, started))
        return started.result()

    def _run(self) -> None:
        while True:
            popen, started = self._orders.get()
            try:
                started.set_result(popen())
            except BaseException as error:
                started.set_exception(error)


class IsolatedProcess:
    """A process that has started and waits for attempts. Raises ExecutionFailed when it never gets there."""

    def __init__(self, program: IsolatedProgram, started_by: StartingThread) -> None:
        self._program = program
        self._trace_fd = new_page_file()
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours, max_bytes=program.max_message_bytes)
        own = {"--channel-fd": theirs.fileno(), "--trace-fd": self._trace_fd}
        arguments = [*program.arguments, "--parent", str(os.getpid())]
        for option, descriptor in own.items():
            arguments += [option, str(descriptor)]
        try:
            self._process = started_by.start(
                lambda: subprocess.Popen(  # noqa: S603 - our own command line
                    arguments, env=program.environment, stdin=subprocess.DEVNULL, pass_fds=list(own.values())
                )
            )
        except OSError as error:
            os.close(self._trace_fd)
            ours.close()
            raise _cannot_start(f"could not be started ({error})") from None
        finally:
            theirs.close()
        self._started_at = time.monotonic()
        self._serial = 0
        self._jobs = 0
        self._occupied_mb = 0.0
        self._lock = threading.Lock()
        self._assigned: JobContext | None = None
        self._kill_at: float | None = None
        self._because: BaseException | None = None
        self._await_start()

    def _await_start(self) -> None:
        try:
            self._channel.send(self._program.greeting)
            if self._channel.receive(START_SECONDS) == {"ready": True}:
                return
            said = f"was not ready within {START_SECONDS:g} s"
        except (ChannelClosed, BadMessage):
            said = self._manner()
        self._end_now()
        self.leave()
        raise _cannot_start(f"{said} before it was ready; the output of the worker may say why")

    def assign(self, context: JobContext | None) -> None:
        """Be there for this attempt alone, or for nobody."""
        # Whoever tells or kills holds the lock: the next attempt must not be taken for the one that was meant.
        with self._lock:
            self._assigned = context
            self._kill_at = self._because = None

    def run(self, context: JobContext) -> Ending:
        """Run an attempt, and wait for its ending. Raises ProcessDied when it leaves none."""
        self._serial += 1
        try:
            self._channel.send(self._message_of(context))
            if context.cancel_requested or context.timed_out:
                # Once more: what it was told before it was sent was not heard.
                self.tell(context)
            return self._ending(context)
        except (ChannelClosed, BadMessage) as error:
            raise self._death(error) from None

    def _message_of(self, context: JobContext) -> Message:
        return {
            "attempt": self._serial,
            "job": self._program.message_of_job(context.job),
            "claim": dataclasses.asdict(context.claim),
            "remaining": context.remaining(),
            **_flags_of(context),
        }

    def _ending(self, context: JobContext) -> Ending:
        while True:
            # Asked before the look at the channel: what it has sent last is there by then.
            had_ended = self.has_ended()
            message = self._channel.receive(LOOK_SECONDS)
            # Also when messages come: a handler may report for ever.
            self._kill_when_due()
            if message is None:
                if had_ended:
                    raise ChannelClosed("it has ended")
            elif message.get("attempt") != self._serial:
                continue
            elif "progress" in message:
                context.take_over(message["progress"])
            else:
                self._jobs += 1
                self._occupied_mb = message.get("occupied_mb", 0.0)
                ending = ending_of(message.get("ending"), context)
                unwritten = context.take_unwritten_progress()
                return ending if ending.progress else dataclasses.replace(ending, progress=unwritten)

    def _kill_when_due(self) -> None:
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            if self._because is None and self._assigned is not None:
                self.kill(self._assigned, JobCancelled())
            else:
                self._process.kill()

    def tell(self, context: JobContext) -> None:
        """Pass on that the running attempt is to be cancelled, or has timed out."""
        with self._lock:
            if self._assigned is not context:
                return
            with suppress(ChannelClosed):  # Whoever waits for the ending notices it too.
                self._channel.send({"tell": self._serial, **_flags_of(context)})
            if context.cancel_requested and context.bounds.interrupt is not False and self._kill_at is None:
                seconds = context.bounds.kill_after
                self._kill_at = time.monotonic() + (
                    DEFAULT_KILL_AFTER_SECONDS if seconds is None else seconds
                )

    def kill(self, context: JobContext, because: BaseException) -> None:
        """End the process of the running attempt, after a moment in which it writes down where it is."""
        with self._lock:
            if self._assigned is context:
                self._because = because
                self._kill_at = time.monotonic() + TRACE_SECONDS
                self._process.send_signal(TRACE_SIGNAL)

    def _death(self, error: Exception) -> ProcessDied:
        """Return why the attempt has no ending, once the process has ended."""
        manner = f"sent what is no message ({error})" if isinstance(error, BadMessage) else self._manner()
        self._end_now()
        message = f"The process of its own in which the handler ran {manner}."
        return ProcessDied(message, trace=self._trace(), because=self._because)

    def _manner(self) -> str:
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its channel"
        if code == EXIT_CHANNEL_CLOSED:
            return "closed its channel"
        if code >= 0:
            return f"ended with exit code {code}"
        known = [one.name for one in signal.Signals if one == -code]
        return f"was killed by {known[0] if known else f'signal {-code}'} ({signal.strsignal(-code)})"

    def _trace(self) -> str:
        size = os.fstat(self._trace_fd).st_size
        data = os.pread(self._trace_fd, TRACE_MAX_BYTES, max(size - TRACE_MAX_BYTES, 0))
        return data.decode(errors="replace")

    def is_spent(self) -> bool:
        """Whether no other attempt shall run in it: it has died, or reached a limit of its pool."""
        config = self._program.config
        age_seconds = time.monotonic() - self._started_at
        return (
            self._process.poll() is not None
            or _reaches(self._jobs, config.max_jobs_per_process)
            or _reaches(age_seconds, config.max_process_age_seconds)
            or _reaches(self._occupied_mb, config.max_process_memory_mb)
        )

    def leave(self) -> None:
        """Have it end; it is not waited for."""
        self._channel.close()
        os.close(self._trace_fd)

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        """Wait a moment for its end, and kill it after that."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVE_SECONDS)
        self._end_now()

    def _end_now(self) -> None:
        self._process.kill()
        self._process.wait()


def _flags_of(context: JobContext) -> Message:
    return {"cancel": context.cancel_requested, "timeout": context.timed_out}


def _reaches(value: float, limit: float | None) -> bool:
    return limit is not None and value >= limit


def _cannot_start(why: str) -> ExecutionFailed:
    return ExecutionFailed(f"The process of its own for an isolated job {why}.", error_code=NOT_ISOLATED)
