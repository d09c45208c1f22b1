"""Lanes as the process sees them: what it asks of one, and how many jobs they want now."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.jobs.worker.holdings import HeldJob
from pleme_redis_django.jobs.worker.pace import MAX_CLAIM, PREFETCH_SECONDS, Pace

# A lane whose jobs have waited for this long has slowed down: others may have free slots for them.
HOARDED_AFTER_SECONDS = 1.0
# Products that shared a claim of a fair pool are expected to share others for this long.
SHARED_SECONDS = 10.0
# Meanwhile claims reach less far, since a job of one product waits behind those that were claimed before it; and
# yet so many times as far as a claim takes, or the lane would run out of jobs while it waits for one.
SHARED_PREFETCH_SECONDS = 0.03
CLAIMS_AHEAD = 4
# A store may plan a claim once for each size: large ones come in few.
CLAIM_STEPS_FROM, CLAIM_STEP = 100, 50


class Lane(Protocol):
    """Slots of one kind, and the jobs that wait for them."""

    slots: int
    job_types: frozenset[str] | None
    """Types that may be claimed for this lane; None: every type."""
    low_water: int
    """The claimer is woken when no more jobs than this wait; -1: never."""

    def start(self) -> None: ...
    def submit(self, jobs: Sequence[HeldJob]) -> None: ...
    def waiting(self) -> int: ...
    def unfinished(self) -> int: ...
    def ended(self) -> int: ...
    def take_waiting(self) -> list[HeldJob]: ...
    def cancel(self, held: HeldJob) -> None: ...
    def time_out(self, held: HeldJob) -> None: ...
    def give_up(self, held: HeldJob) -> None: ...
    def take_blocked(self) -> list[HeldJob]: ...
    def stop(self) -> None: ...


class LaneFeed:
    """A lane with what the claimer knows of it."""

    def __init__(self, lane: Lane, now: float, *, fair: bool = False) -> None:
        self.lane = lane
        self._fair = fair
        self._shared_until = 0.0
        self._asked_at = now
        self._claim_seconds = 0.0
        self.dry = False
        """Whether the last claim took all that was ready."""
        self._pace = Pace(now)
        self._fed_at = now

    def capacity(self) -> int:
        """Return how many jobs to claim now: 0 while enough of them wait already."""
        prefetch = self._pace.prefetch(self._reach_seconds() if self._fair else PREFETCH_SECONDS)
        self.lane.low_water = -1 if self.dry else prefetch // 2
        if prefetch and self.lane.waiting() > prefetch // 2:
            return 0
        free = self.lane.slots - self.lane.unfinished()
        count = min(max(free + prefetch, 0), MAX_CLAIM)
        in_steps = count - count % CLAIM_STEP
        # Less is claimed ahead for it, and no slot stays free.
        return in_steps if in_steps >= max(free, CLAIM_STEPS_FROM) else count

    def wanted(self) -> int:
        """Return how many jobs to claim now, 0 when the last claim took all that was ready."""
        self._asked_at = time.monotonic()
        return 0 if self.dry else self.capacity()

    def has_free_slot(self) -> bool:
        """Whether a job would start at once."""
        return self.lane.unfinished() < self.lane.slots

    def measure(self) -> None:
        """Take note of the lane's pace."""
        self._pace.update(self.lane.ended(), time.monotonic())

    def hoards(self) -> bool:
        """Whether jobs have waited here for too long."""
        return time.monotonic() - self._fed_at > HOARDED_AFTER_SECONDS and self.lane.waiting() > 0

    def submit(self, claimed: list[HeldJob]) -> None:
        """Give the lane what was claimed for it, if anything."""
        self._fed_at = time.monotonic()
        if claimed:
            self.lane.submit(claimed)
            self._claim_seconds = max(self._fed_at - self._asked_at, 0.8 * self._claim_seconds)
            if self._fair and _count_products(claimed) > 1:
                self._shared_until = self._fed_at + SHARED_SECONDS
        self.capacity()  # The low-water mark follows from whether this claim was dry.

    def _reach_seconds(self) -> float:
        if time.monotonic() >= self._shared_until:
            return PREFETCH_SECONDS
        return min(max(CLAIMS_AHEAD * self._claim_seconds, SHARED_PREFETCH_SECONDS), PREFETCH_SECONDS)


class LaneDemand:
    """The lanes of a process, in the claimer's eyes; for its thread."""

    def __init__(self, lanes: Sequence[Lane], *, fair: bool = False) -> None:
        now = time.monotonic()
        self._feeds = [LaneFeed(lane, now, fair=fair) for lane in lanes]

    def __iter__(self) -> Iterator[LaneFeed]:
        return iter(self._feeds)

    def feed_of(self, job: AnyJob) -> LaneFeed:
        """Return the lane that runs a job."""
        for feed in self._feeds:
            if feed.lane.job_types is not None and job.job_type in feed.lane.job_types:
                return feed
        return self._feeds[0]

    def expect_work(self) -> None:
        """Take note that something may be ready for any lane."""
        for feed in self._feeds:
            feed.dry = False

    def note_dry(self) -> None:
        """Take note that nothing is ready for any lane."""
        for feed in self._feeds:
            feed.dry = True

    def is_dry(self) -> bool:
        """Whether nothing was left ready for any lane at its last claim."""
        return all(feed.dry for feed in self._feeds)

    def has_capacity(self) -> bool:
        """Whether a claim would be made if something were ready."""
        return any(feed.capacity() for feed in self._feeds)

    def has_free_slot(self) -> bool:
        """Whether a job would start at once in some lane."""
        return any(feed.has_free_slot() for feed in self._feeds)

    def has_waiting(self) -> bool:
        """Whether jobs wait for a slot in some lane."""
        return any(feed.lane.waiting() for feed in self._feeds)

    def together(self) -> int:
        """Return how many jobs every lane would take, where there are several: the size of one claim for all."""
        return min(feed.wanted() for feed in self._feeds) if len(self._feeds) > 1 else 0

    def take_hoarded(self) -> list[HeldJob]:
        """Measure every lane, and take back what has waited in them for too long."""
        hoarded: list[HeldJob] = []
        for feed in self._feeds:
            feed.measure()
            if feed.hoards():
                hoarded += feed.lane.take_waiting()
        return hoarded


def _count_products(claimed: Iterable[HeldJob]) -> int:
    # The jobs of every store that claims fairly have a product, those of others need none.
    return len({getattr(held.job, "product", None) for held in claimed})
