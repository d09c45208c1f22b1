"""TimeLimits: the one timer of a process, for the timeouts of all jobs that run in it.

A job that starts is written into a dict, and the timer's thread is woken only where it would sleep past the job's
timeout: no thread and no system call for each job. A job that has ended leaves the dict, and the thread sleeps on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from pleme_redis_django.jobs.interface.bounds import DEFAULT_KILL_AFTER_SECONDS
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.engine_thread import EngineThread
from pleme_redis_django.jobs.worker.holdings import HeldJob

NEVER = float("inf")


class TimedLane(Protocol):
    """What is told that a job's time is over."""

    def time_out(self, held: HeldJob) -> None:
        """Tell the handler."""
        ...

    def give_up(self, held: HeldJob) -> None:
        """End the attempt without its handler, which did not heed."""
        ...


class TimeLimits:
    """Running jobs that have a timeout, by the slot that runs them."""

    def __init__(self, agenda: Agenda, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._timed: dict[int, tuple[HeldJob, TimedLane, float]] = {}
        self._told: dict[int, HeldJob] = {}
        self._given_up: dict[int, HeldJob] = {}
        self._wakes_at = NEVER
        self._wake = threading.Event()
        self._is_over = False
        self._thread = EngineThread(self._run, "time-limits", agenda)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it is not waited for."""
        self._is_over = True
        self._wake.set()

    def begin(self, slot: int, held: HeldJob, lane: TimedLane, ends_at: float) -> None:
        """A slot begins a job that has to end by then."""
        self._timed[slot] = (held, lane, ends_at)
        if ends_at < self._wakes_at:
            self._wakes_at = ends_at
            self._wake.set()

    def end(self, slot: int) -> None:
        """A slot has ended what it ran."""
        self._timed.pop(slot, None)

    def _run(self) -> None:
        while not self._is_over:
            wait_seconds = self.turn()
            self._wake.wait(None if wait_seconds == NEVER else max(wait_seconds, 0.0))

    def turn(self) -> float:
        """See to what is due; return the seconds until something is, or until this is to look again."""
        # Before the look: a job that begins meanwhile is due earlier than that, and wakes the thread again.
        asked_for, self._wakes_at = self._wakes_at, NEVER
        self._wake.clear()
        now = self._clock()
        for slot, (held, lane, ends_at) in list(self._timed.items()):
            if self._due_at(slot, held, ends_at) <= now:
                self._see_to(slot, held, lane)
        timed = list(self._timed.items())
        next_at = min(
            (self._due_at(slot, held, ends_at) for slot, (held, _lane, ends_at) in timed), default=NEVER
        )
        if now < asked_for < next_at:
            # The job that asked for it has ended already. Short ones with one timeout would else wake the thread
            # each, since it sees none of them; they are all due later than this.
            next_at = asked_for
        self._wakes_at = next_at
        return next_at - now

    def _due_at(self, slot: int, held: HeldJob, ends_at: float) -> float:
        if self._given_up.get(slot) is held:
            return NEVER
        return ends_at + kill_after_seconds(held) if self._told.get(slot) is held else ends_at

    def _see_to(self, slot: int, held: HeldJob, lane: TimedLane) -> None:
        if self._told.get(slot) is held:
            self._given_up[slot] = held
            lane.give_up(held)
        else:
            self._told[slot] = held
            lane.time_out(held)


def kill_after_seconds(held: HeldJob) -> float:
    """Return how long after its timeout an attempt is ended without its handler."""
    seconds = held.context.bounds.kill_after
    return DEFAULT_KILL_AFTER_SECONDS if seconds is None else seconds
