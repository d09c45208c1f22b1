"""Shutdown: how a process stops claiming, gives back what it has not started, and ends what runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from pleme_redis_django.jobs.interface.events import (
    DrainRequested,
    EngineBroken,
    EventSink,
    RecycleBegun,
    WorkerStopped,
)
from pleme_redis_django.jobs.worker.executing_page import Stage
from pleme_redis_django.jobs.worker.holdings import HeldJob, ending_if_unfinished
from pleme_redis_django.jobs.worker.lane import HOARDED_AFTER_SECONDS, Lane
from pleme_redis_django.jobs.worker_pool.parts import WorkerParts

# What shutdown grants the last writes, beyond the grace of the jobs themselves.
FLUSH_SECONDS = 10.0
# What is given back when a process drains is written by then, and others are woken for it.
GIVE_BACK_SECONDS = 0.2
# While what runs is waited for without a limit, this is how often it is asked what cannot go on or start.
LOOK_SECONDS = 1.0
# A handler that was given up may hold its own row locked, until the process ends: its ending is not waited for longer.
GIVEN_UP_SECONDS = 10.0


class _WaitingJobs:
    """What waits for a slot of a lane while its process ends, and since when none of it has started."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._count = lane.waiting()
        self._since = time.monotonic()

    def take_stranded(self, after_seconds: float) -> list[HeldJob]:
        """Take back what waits once none of it has started for so long."""
        now, count = time.monotonic(), self._lane.waiting()
        if count != self._count:
            self._count, self._since = count, now
        return self._lane.take_waiting() if count and now - self._since >= after_seconds else []


class Shutdown:
    """The end of one process's work; it comes once, whoever asks for it."""

    def __init__(self, parts: WorkerParts, sink: EventSink, grace_seconds: float) -> None:
        self._parts = parts
        self._sink = sink
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._returned = 0
        # No Event: end_grace() runs in signal handlers, which interrupt each other, and set() takes a lock.
        self._is_grace_over = False
        self.is_over = threading.Event()
        """Set once everything has stopped."""

    def end_grace(self) -> None:
        """Give back at once what still runs, when the process is draining. Safe in a signal handler."""
        self._is_grace_over = True

    def stop(self, grace_seconds: float) -> int:
        """Drain for at most so long; return how many jobs were given back, 0 when it is over already."""
        with self._lock:
            if self.is_over.is_set():
                return 0
            returned = self._drain(grace_seconds)
            self.is_over.set()
            self._parts.agenda.leaving.requested.set()  # Ends the thread that waits for it.
            return returned

    def watch(self) -> None:
        """Start the thread that ends the process when somebody asks for it."""
        threading.Thread(target=self._end_on_request, name="pleme-drain", daemon=True).start()

    def _end_on_request(self) -> None:
        """Stop once what runs has ended: nobody hurries, so no grace period ends."""
        leaving = self._parts.agenda.leaving
        leaving.requested.wait()
        if not leaving.broken and not self.is_over.is_set():
            self._begin_to_leave()
            self._wait_for_ends()
        if leaving.broken and not self.is_over.is_set():
            # A pool without one of its threads looks alive and does half of its work.
            self._sink.emit(EngineBroken(*leaving.broken[0]))
            self.stop(self._grace_seconds)
            return
        self.stop(0.0)

    def _begin_to_leave(self) -> None:
        """Claim no more, and let others run what does not start here."""
        worker_id, leaving = self._parts.identity.worker_id, self._parts.agenda.leaving
        recycles = bool(leaving.recycle_reason)
        self._sink.emit(
            RecycleBegun(worker_id, leaving.recycle_reason) if recycles else DrainRequested(worker_id)
        )
        if leaving.lets_waiting_run:
            self._end_claims()
        else:
            self._stop_claiming()
            self._parts.holdings.wait_until_empty(GIVE_BACK_SECONDS)
            self._announce_returned()

    def _wait_for_ends(self) -> None:
        """Wait until nothing is held any more, however long that takes, or it is clear that this never comes."""
        waiting = [_WaitingJobs(lane) for lane in self._parts.lanes]
        had_hope = time.monotonic()
        while not self.is_over.is_set() and not self._parts.holdings.wait_until_empty(LOOK_SECONDS):
            if self._parts.agenda.leaving.broken:
                return
            with self._lock:  # A stop() that has begun sees to all of them.
                if not self.is_over.is_set():
                    self._give_stuck_back(waiting)
            if not self._is_hopeless():
                had_hope = time.monotonic()
            elif time.monotonic() - had_hope >= GIVEN_UP_SECONDS:
                return

    def _is_hopeless(self) -> bool:
        """Whether all that is left are given-up handlers whose endings cannot be written for now."""
        left = self._parts.holdings.all()
        return all(held.given_back for held in left) and self._parts.finisher.delayed() >= len(left)

    def _give_stuck_back(self, waiting: Sequence[_WaitingJobs]) -> None:
        """Let others run what cannot go on here, or does not get to start; the rest is waited for."""
        after_seconds = HOARDED_AFTER_SECONDS if self._parts.agenda.leaving.lets_waiting_run else 0.0
        stuck = [held for lane in self._parts.lanes for held in lane.take_blocked()]
        stuck += [held for jobs in waiting for held in jobs.take_stranded(after_seconds)]
        if stuck:
            self._give_back(stuck)
            self._parts.holdings.wait_until_empty(GIVE_BACK_SECONDS)
            self._announce_returned()

    def _end_claims(self) -> bool:
        """Claim no more; return whether every claim is known."""
        parts = self._parts
        parts.heartbeat.note_draining(parts.agenda.leaving.recycle_reason)
        for hint_listener in parts.hint_listeners:
            hint_listener.stop()
        # A claim that the store does not answer in time is not known; the lease brings such jobs back.
        claims_known = parts.claimer.thread.stop(FLUSH_SECONDS)
        if parts.agenda.has_unseen_hint():
            parts.hints.nudge()
        return claims_known

    def _stop_claiming(self) -> bool:
        """Claim no more, and give back what has not started; return whether every claim is known."""
        parts = self._parts
        parts.clearance.withdraw()
        claims_known = self._end_claims()
        self._give_back([held for lane in parts.lanes for held in lane.take_waiting()])
        return claims_known

    def _drain(self, grace_seconds: float) -> int:
        parts = self._parts
        claims_known = self._stop_claiming()
        for lane in parts.lanes:
            lane.stop()
        self._wait_for_running(grace_seconds)
        # What has ended and is not written yet keeps its ending, though its row may be locked for longer than this.
        running = [held for held in parts.holdings.all() if not held.has_ending]
        for held in running:
            held.given_back = True
        self._give_back(running)
        parts.isolation.end_running()
        # All of them together, for a database that does not answer holds each of them up.
        flush_until = time.monotonic() + FLUSH_SECONDS
        parts.limits.stop()
        parts.finisher.stop(FLUSH_SECONDS / 2)
        parts.maintainer.thread.stop(max(flush_until - time.monotonic(), 0))
        nothing_left = parts.lost_claims.nothing_left and claims_known
        parts.heartbeat.stop(max(flush_until - time.monotonic(), 0), in_good_order=nothing_left)
        for call_listener in parts.call_listeners:
            call_listener.stop()
        parts.isolation.stop()
        self._announce_returned()
        parts.page.note_stage(Stage.STOPPED)
        self._sink.emit(WorkerStopped(parts.identity.worker_id, self._returned, len(running)))
        return self._returned

    def _announce_returned(self) -> None:
        if self._returned:
            self._parts.hints.nudge()

    def _wait_for_running(self, grace_seconds: float) -> None:
        deadline = time.monotonic() + grace_seconds
        while not self._is_grace_over and time.monotonic() < deadline:
            if self._parts.holdings.wait_until_empty(min(0.1, grace_seconds)):
                return

    def _give_back(self, jobs: Sequence[HeldJob]) -> None:
        self._returned += len(jobs)
        for held in jobs:
            self._parts.finisher.add(held, ending_if_unfinished(held))
