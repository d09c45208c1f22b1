"""AttemptsApart: the side of the process that runs attempts apart from their worker, one at a time.

Handlers run in the main thread, where a signal wakes them out of a sleep or a read. A thread beside it listens to the
worker: it interrupts the handler, passes its progress on, and ends the process with its worker.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pleme_redis_django.exceptions import JobCancelled, JobTimeout
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.job import AnyJob, JobClaim
from pleme_redis_django.jobs.worker.channel import (
    EXIT_CHANNEL_CLOSED,
    BadMessage,
    Channel,
    ChannelClosed,
    Message,
)
from pleme_redis_django.jobs.worker.ending_messages import message_of
from pleme_redis_django.jobs.worker.interrupts import Interruptible
from pleme_redis_django.jobs.worker.process_memory import occupied_mb
from pleme_redis_django.jobs.worker.runner import JobRunner

# While an attempt runs: its progress is sent, and an interrupt that found no handler yet is tried again.
LOOK_SECONDS = 0.25
IDLE_SECONDS = 5.0
# What is left of the process after its last attempt: atexit functions, and threads that handlers have started.
END_SECONDS = 2.0
# Nobody reacts to it unless somebody asked for it, which is why Go wakes its threads with it too:
# https://go.googlesource.com/proposal/+/master/design/24543-non-cooperative-preemption.md
WAKE_SIGNAL = signal.SIGURG


class _Attempt:
    """An attempt, from the message that brings it to its ending."""

    __slots__ = ("brought", "context", "interrupt", "is_cancelled", "is_timed_out", "serial")

    def __init__(self, brought: Message) -> None:
        self.brought = brought
        self.serial: int = brought["attempt"]
        self.context: JobContext | None = None
        self.is_cancelled = False
        self.is_timed_out = False
        self.interrupt: type[BaseException] | None = None
        """What is to be raised in the handler, and has not been."""
        self.note(brought)

    def note(self, message: Message) -> None:
        """Take note of what the worker says."""
        if message["cancel"] and not self.is_cancelled:
            self.is_cancelled, self.interrupt = True, self.interrupt or JobCancelled
        if message["timeout"] and not self.is_timed_out:
            self.is_timed_out, self.interrupt = True, self.interrupt or JobTimeout
        self.show()

    def show(self) -> None:
        """Have the context say so, where the handler can ask."""
        if (context := self.context) is not None:
            context.timed_out = self.is_timed_out
            if self.is_cancelled:
                context.request_cancel()


class AttemptsApart:
    """Runs what comes through a channel until its other end is closed."""

    def __init__(
        self, channel: Channel, runner: JobRunner, job_of: Callable[[Any], AnyJob], worker_pid: int
    ) -> None:
        self._channel = channel
        self._runner = runner
        self._job_of = job_of
        self._worker_pid = worker_pid
        self._waiting: queue.SimpleQueue[_Attempt | None] = queue.SimpleQueue()
        self._attempt: _Attempt | None = None
        self._sending = threading.Lock()
        self._thread = Interruptible()

    def serve(self) -> None:
        """Run attempts, in the main thread of the process, until the worker has no more of them."""
        signal.signal(WAKE_SIGNAL, lambda *_: None)
        self._thread.bind()
        threading.Thread(target=self._listen, name="pleme-channel", daemon=True).start()
        self._channel.send({"ready": True})
        while (attempt := self._waiting.get()) is not None:
            ending = self._ending_of(attempt)
            answer = {"attempt": attempt.serial, "ending": message_of(ending), "occupied_mb": occupied_mb()}
            # The thread that listens sees to the end when the worker is gone.
            with self._sending, suppress(ChannelClosed):
                self._attempt = None
                self._channel.send(answer)
            # Else what it has printed is lost when a later attempt ends the process.
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()

    def _ending_of(self, attempt: _Attempt) -> Ending:
        brought, started = attempt.brought, time.perf_counter()
        job = self._job_of(brought["job"])
        context = JobContext(job, JobClaim(**brought["claim"]), lambda _context: None)
        context.bounds = self._runner.bounds_of(job)
        if brought["remaining"] is not None:
            context.ends_at = time.monotonic() + brought["remaining"]
        attempt.context = context
        attempt.show()
        if (kind := attempt.interrupt) is not None and context.bounds.interrupt is not False:
            return self._runner.ending_of(kind(), context, time.perf_counter() - started)
        return self._runner.run(context, self._thread)

    def _listen(self) -> None:
        try:
            while os.getppid() == self._worker_pid:
                message = self._channel.receive(IDLE_SECONDS if self._attempt is None else LOOK_SECONDS)
                if message is not None:
                    self._take(message)
                self._look_at_running()
        except (ChannelClosed, BadMessage):
            pass
        if self._attempt is None:
            self._waiting.put(None)
            time.sleep(END_SECONDS)
        # The worker is gone, or has given the job away.
        os._exit(EXIT_CHANNEL_CLOSED)

    def _take(self, message: Message) -> None:
        attempt = self._attempt
        if "job" in message:
            self._attempt = attempt = _Attempt(message)
            self._waiting.put(attempt)
        elif attempt is not None and attempt.serial == message.get("tell"):
            attempt.note(message)

    def _look_at_running(self) -> None:
        # Not while the ending is sent, which has the last progress with it.
        with self._sending:
            attempt = self._attempt
            context = None if attempt is None else attempt.context
            if attempt is None or context is None:
                return
            if (report := context.take_unwritten_progress()) is not None:
                self._channel.send({"attempt": attempt.serial, "progress": report})
        if attempt.interrupt is not None and context.bounds.interrupt is not False:
            self._interrupt(attempt, context, attempt.interrupt)

    def _interrupt(self, attempt: _Attempt, context: JobContext, kind: type[BaseException]) -> None:
        if self._runner.interrupt(context, self._thread, kind):
            attempt.interrupt = None
            signal.pthread_kill(self._thread.thread_id, WAKE_SIGNAL)
