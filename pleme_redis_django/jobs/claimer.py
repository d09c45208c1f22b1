"""Claimer: decides when to claim, how many, and for which lane; the one thread that claims."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from pleme_redis_django.jobs.context import JobContext
from pleme_redis_django.jobs.engine_thread import EngineThread, OnBroken
from pleme_redis_django.jobs.events import EventSink, JobsClaimed
from pleme_redis_django.jobs.holdings import HeldJob, Holdings
from pleme_redis_django.jobs.identity import WorkerIdentity
from pleme_redis_django.jobs.job import Job
from pleme_redis_django.jobs.lanes import Lane, let_go
from pleme_redis_django.jobs.pace import MAX_CLAIM, Pace
from pleme_redis_django.jobs.patience import Patience
from pleme_redis_django.jobs.store import JobSelection, JobStore
from pleme_redis_django.jobs.suspects import SuspectRule, SuspectTurns

PROMOTE_LIMIT = 1000

# A lane whose jobs have waited for so long has slowed down: others may have free slots for them.
HOARDED_AFTER_SECONDS = 1.0
PASS_ON_PAUSE_SECONDS = 1.0
# What is due or ready and was not to be had is another process's, or locked: it is looked at again after
# one to two times this, so that many processes do not come back together.
LOOK_AGAIN_SECONDS = 1.0
# A burst ends only when nothing is ready, and looks so often whether something is.
BURST_LOOK_SECONDS = 0.1
# While the store holds ready jobs back, it is asked so often whether it still does.
HELD_BACK_LOOK_SECONDS = 0.5
# While a suspect runs, the next one may wait so long after its end.
SUSPECT_LOOK_SECONDS = 0.5
# While the lease is not current nothing may be claimed; this is how soon that is asked again.
LEASE_CHECK_SECONDS = 0.25


class LaneFeed:
    """A lane with what the claimer knows of it."""

    def __init__(self, lane: Lane, now: float) -> None:
        self.lane = lane
        self.pace = Pace(now)
        self.dry = False
        """Whether the last claim took all that was ready."""
        self.fed_at = now

    def room(self) -> int:
        """Return how many jobs to claim now: 0 while enough of them wait already."""
        prefetch = self.pace.prefetch()
        self.lane.low_water = -1 if self.dry else prefetch // 2
        if prefetch and self.lane.waiting() > prefetch // 2:
            return 0
        return min(max(self.lane.slots + prefetch - self.lane.unfinished(), 0), MAX_CLAIM)

    def has_free_slot(self) -> bool:
        return self.lane.unfinished() < self.lane.slots

    def hoards(self, now: float) -> bool:
        return now - self.fed_at > HOARDED_AFTER_SECONDS and self.lane.waiting() > 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimerDuties:
    """What the claimer calls besides the store."""

    may_claim: Callable[[], bool]
    on_progress: Callable[[JobContext], None]
    finish: Callable[..., None]
    claim_failed: Callable[[], None]
    """A claim may have been committed without this process having learned of it."""
    nudge: Callable[[], None]
    more_may_come: Callable[[], bool]
    """Whether jobs that are RUNNING elsewhere are about to become ready here."""
    suspects_seen: Callable[[], None]
    """Suspects are ready, which this process leaves to another one."""
    set_room: Callable[[bool], None]
    on_broken: OnBroken


class Claimer:
    """Feeds the lanes from the store: woken by hints, free slots, due times and its own scans."""

    def __init__(
        self,
        store: JobStore[Any],
        lanes: Sequence[Lane],
        holdings: Holdings,
        identity: WorkerIdentity,
        sink: EventSink,
        duties: ClaimerDuties,
        *,
        selection: JobSelection,
        scan_seconds: float,
        suspects: SuspectRule = SuspectRule.BESIDE,
        burst: bool = False,
    ) -> None:
        now = time.monotonic()
        self._store = store
        self._feeds = [LaneFeed(lane, now) for lane in lanes]
        self._holdings = holdings
        self._identity = identity
        self._sink = sink
        self._duties = duties
        self._selection = selection
        self._scan_seconds = scan_seconds
        self._burst = burst
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._held_back: Hashable | None = None
        self._hinted = False
        self._hint_to_pass_on = False
        self._next_pass_on = now
        self._claimed = 0
        self._next_scan = now
        self._next_due = float("inf")
        self._own_due = float("inf")
        """When a job that this process gave back or will retry is due; written by other threads too."""
        self._due_lock = threading.Lock()
        self._seen_ready = False
        self._is_drained = False
        """In burst mode: whether, in this turn, a look at everything found nothing when all was done."""
        self._suspects = SuspectTurns(
            suspects,
            holdings,
            sink,
            claim_one=lambda: self.claim(1, suspects=True),
            submit=self._submit_suspect,
            on_seen=duties.suspects_seen,
        )
        self._patience = Patience("claim", sink, self._stopping)
        self._thread = EngineThread(self._run, "pleme-claimer", duties.on_broken)
        self.dry = threading.Event()
        """Set in burst mode once nothing is ready for this process, and nothing is held."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """Claim no more; return whether every claimed job is known to this process.

        It is not when the store does not answer a claim in time; the lease brings such jobs back.
        """
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def wake(self) -> None:
        """Look at the lanes again; from any thread."""
        if not self._wake.is_set():
            self._wake.set()

    def hint(self) -> None:
        """Claim soon: something is ready."""
        self._hinted = True
        self._wake.set()

    def scan_soon(self) -> None:
        """Look ahead soon: something may have become due, ready, or a suspect."""
        self._next_scan = 0.0
        self._wake.set()

    def note_due(self, delay_seconds: float) -> None:
        """Take note that a job which this process had becomes due after a delay."""
        with self._due_lock:
            self._own_due = min(self._own_due, time.monotonic() + delay_seconds)
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                wait_seconds = self._turn()
            except Exception as error:
                self._duties.claim_failed()
                self._patience.wait_after(error)
                self._next_scan = 0.0
                continue
            if self._duties.may_claim():  # Otherwise the turn has asked the store nothing.
                self._patience.succeeded()
            self._wake.wait(wait_seconds)
            self._wake.clear()

    def _turn(self) -> float:
        """Do what is to be done now; return for how many seconds there is nothing more."""
        if not self._duties.may_claim():
            return LEASE_CHECK_SECONDS
        hinted, claimed_before = self._hinted, self._claimed
        self._seen_ready = self._is_drained = False
        by_scan = self._take_hint_or_scan()
        self._take_what_is_due()
        self._suspects.turn()
        if self._suspects.rule is SuspectRule.ONLY:
            return self._rest_in_quarantine()
        for feed in self._feeds:
            self._measure(feed)
        if len(self._feeds) > 1:
            self._feed_together(by_scan)
        for feed in self._feeds:
            self._feed(feed, by_scan)
        self._pass_hint_on()
        if self._claimed == claimed_before:
            if hinted:
                # The hint may be of a job that is due later, or runs alone.
                self._next_scan = 0.0
            elif self._seen_ready and all(feed.dry for feed in self._feeds):
                self._look_again_soon()
        return self._rest()

    def _take_hint_or_scan(self) -> bool:
        """Note what is known to be ready; return whether a scan, not a hint, found it."""
        if self._hinted:
            self._hinted = False
            self._hint_to_pass_on = True
            self._expect_work()
        if time.monotonic() < self._next_scan:
            return False
        self._next_scan = time.monotonic() + self._scan_seconds
        return self._look_ahead()

    def _look_ahead(self) -> bool:
        seemed_done = self._burst and self._seems_done()
        outlook = self._store.look_ahead(self._selection)
        due_in = outlook.due_in_seconds
        self._next_due = time.monotonic() + due_in if due_in is not None else float("inf")
        if outlook.suspects:
            self._suspects.note_seen()
        self._seen_ready = outlook.ready
        saw_all = self._saw_all(self._selection)
        is_empty = self._suspects.rule is SuspectRule.ONLY or (saw_all and not outlook.ready)
        self._is_drained = seemed_done and is_empty
        if outlook.ready:
            self._expect_work()
        return outlook.ready

    def _take_what_is_due(self) -> None:
        now = time.monotonic()
        with self._due_lock:
            is_own = now >= self._own_due
            if is_own:
                self._own_due = float("inf")
        if is_own:
            # Given back at once, it is ready: this process may be too full for it, and others idle.
            self._hint_to_pass_on = True
        if is_own or (now >= self._next_due and self._has_room()):
            self._promote(is_own=is_own)

    def _promote(self, *, is_own: bool) -> None:
        promoted = self._store.promote_due_jobs(PROMOTE_LIMIT)
        if promoted:
            self._expect_work()
            self._hint_to_pass_on = True
        if promoted or is_own:
            # What is due after these is not known until the next look ahead.
            self._look_ahead()
        if not promoted and self._next_due <= time.monotonic():
            # Another process has made them ready by now, or holds their rows: it looks ahead, and wakes
            # others when it is full. Else every process would ask for every due job of every queue.
            self._next_due = float("inf")
            self._look_again_soon()

    def _look_again_soon(self) -> None:
        pause = LOOK_AGAIN_SECONDS * (1 + random.random())  # noqa: S311 - spreads processes
        self._next_scan = min(self._next_scan, time.monotonic() + pause)

    def _has_room(self) -> bool:
        """Whether a claim would be made if something were ready; a full process leaves due jobs to others."""
        if any(feed.room() for feed in self._feeds):
            return True
        # As soon as a slot is free, what is due is to be seen to.
        self._expect_work()
        return any(feed.room() for feed in self._feeds)

    def _expect_work(self) -> None:
        for feed in self._feeds:
            feed.dry = False

    def _measure(self, feed: LaneFeed) -> None:
        now = time.monotonic()
        feed.pace.update(feed.lane.ended(), now)
        if feed.hoards(now):
            self._give_back(feed.lane.take_waiting())

    def _feed_together(self, by_scan: bool) -> None:
        """Claim once for all lanes, as many as fit into each: most often that is all there is."""
        room = min(0 if feed.dry else feed.room() for feed in self._feeds)
        if not room:
            return
        claimed = self.claim(room)
        if len(claimed) < room:
            for feed in self._feeds:
                feed.dry = True
        for feed in self._feeds:
            own = [held for held in claimed if self._feed_of(held.context.job) is feed]
            self._submit(feed, own, by_scan)

    def _feed(self, feed: LaneFeed, by_scan: bool) -> None:
        room = feed.room()
        if feed.dry or not room:
            return
        claimed = self.claim(room, job_types=feed.lane.job_types)
        feed.dry = len(claimed) < room
        self._submit(feed, claimed, by_scan)

    def _submit(self, feed: LaneFeed, claimed: list[HeldJob], by_scan: bool) -> None:
        feed.fed_at = time.monotonic()
        if claimed:
            feed.lane.submit(claimed)
            self._sink.emit(JobsClaimed(self._identity.worker_id, len(claimed), by_scan))
        feed.room()  # The low-water mark follows from whether this claim was dry.

    def claim(
        self, limit: int, *, job_types: frozenset[str] | None = None, suspects: bool = False
    ) -> list[HeldJob]:
        """Claim jobs and hold them."""
        selection = self._selection
        if job_types or suspects:
            job_types = job_types or selection.job_types
            selection = dataclasses.replace(selection, job_types=job_types, suspects=suspects)
        jobs = self._store.claim_jobs(self._identity.worker_id, limit, selection)
        self._saw_all(selection)
        held = self._newly_held(jobs)
        self._holdings.add(held)
        self._claimed += len(jobs)
        if len(held) < len(jobs):
            self._next_scan = 0.0  # Fewer than there was room for, though more may be ready.
        return held

    def _saw_all(self, selection: JobSelection) -> bool:
        """Return whether the store has just seen all that is ready; if not, look again when it will."""
        again_in = self._store.look_again_in(selection)
        if again_in is not None:
            self._next_scan = min(self._next_scan, time.monotonic() + again_in)
        return again_in is None

    def _submit_suspect(self, held: HeldJob) -> None:
        self._feed_of(held.context.job).lane.submit([held])

    def _newly_held(self, jobs: Iterable[Job]) -> list[HeldJob]:
        now, on_progress, held = time.monotonic(), self._duties.on_progress, []
        for job in jobs:
            claim = job.claim
            if claim is None:
                raise TypeError(f"{type(self._store).__name__} returned a claimed job whose .claim is None.")
            # Already held: the store forgot this very claim in a crash, and its handler runs on, now with
            # a claim again.
            if not self._holdings.holds(job.id, claim.attempt):
                held.append(HeldJob(JobContext(job, claim, on_progress), now))
        return held

    def _feed_of(self, job: Job) -> LaneFeed:
        for feed in self._feeds:
            if feed.lane.job_types is not None and job.job_type in feed.lane.job_types:
                return feed
        return self._feeds[0]

    def _give_back(self, jobs: Iterable[HeldJob]) -> None:
        for held in jobs:
            self._duties.finish(held, let_go(held))

    def _pass_hint_on(self) -> None:
        """Wake another process when this one is full and more is ready than it could take."""
        if not self._hint_to_pass_on:
            return
        if all(feed.dry for feed in self._feeds):
            self._hint_to_pass_on = False
            return
        now = time.monotonic()
        # With a free slot in its other lane this process still listens, and the hint may come back
        # to it at once: without a pause it would go round for as long as the full lane is full.
        if now >= self._next_pass_on or not any(feed.has_free_slot() for feed in self._feeds):
            self._hint_to_pass_on = False
            self._next_pass_on = now + PASS_ON_PAUSE_SECONDS
            self._duties.nudge()

    def _rest(self) -> float:
        now = time.monotonic()
        self._duties.set_room(any(feed.has_free_slot() for feed in self._feeds))
        if self._burst and self._is_done():
            self.dry.set()
        held_back = self._store.held_back()
        if held_back != self._held_back:
            self._held_back, self._next_scan = held_back, 0.0
        due = self._next_due if any(feed.room() for feed in self._feeds) else float("inf")
        wait_seconds = min(self._next_scan, due, self._own_due) - now
        if held_back is not None:
            wait_seconds = min(wait_seconds, HELD_BACK_LOOK_SECONDS)
        if any(feed.lane.waiting() for feed in self._feeds):
            wait_seconds = min(wait_seconds, HOARDED_AFTER_SECONDS)
        if self._suspects.pending:
            wait_seconds = min(wait_seconds, SUSPECT_LOOK_SECONDS)
        return max(wait_seconds, 0.0)

    def _rest_in_quarantine(self) -> float:
        if self._hint_to_pass_on:
            # What became due is for the others.
            self._hint_to_pass_on = False
            self._duties.nudge()
        return self._rest()

    def _is_done(self) -> bool:
        """Whether nothing is left to do; a lane may have run dry beside rows that it did not see."""
        if not self._seems_done():
            return False
        if not self._is_drained and self._look_ahead():
            self._next_scan = time.monotonic() + BURST_LOOK_SECONDS
        return self._is_drained and self._seems_done()

    def _seems_done(self) -> bool:
        return (
            (self._suspects.rule is SuspectRule.ONLY or all(feed.dry for feed in self._feeds))
            and not len(self._holdings)
            and not self._suspects.pending
            and not self._duties.more_may_come()
            and time.monotonic() < min(self._next_due, self._own_due)
        )
