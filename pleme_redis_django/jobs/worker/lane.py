"""Lanes as the process sees them: what it asks of one, and how many jobs they want now."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

from pleme_redis_django.jobs.interface.fair_shares import SHARE
from pleme_redis_django.jobs.interface.hints import ANY_TYPE
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
# Claims of a fair pool are smaller, since whoever comes during one waits for its end; that costs no throughput. For a
# while after a product has come that had no jobs they are smaller still, and jobs that do nothing drain more slowly.
FAIR_MAX_CLAIM = 150
COMING_MAX_CLAIM = 50
COMING_SECONDS = 1.0
# A store may plan a claim once for each size: large ones come in few.
CLAIM_STEPS_FROM, CLAIM_STEP = 100, 50
# For so long a lane is taken to be dry, whatever is ready for other lanes.
TRUSTED_DRY_SECONDS = 30.0
NEVER = float("inf")


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
        self._come: set[str] = set()
        """Products that have come since the last claim for this lane."""
        self._coming_until = 0.0
        self._asked_at = now
        self._claim_seconds = 0.0
        self._dry_at: float | None = None
        self._again_at = NEVER
        self._pace = Pace(now)
        self._fed_at = now

    @property
    def dry(self) -> bool:
        """Whether the last claim took all that was ready, as far as it looked, and it is not time to look on."""
        return self._dry_at is not None and time.monotonic() < self._again_at

    @dry.setter
    def dry(self, dry: bool) -> None:
        self._dry_at = time.monotonic() if dry else None
        self._again_at = NEVER

    def run_dry(self, again_in: float | None) -> None:
        """Take note that the last claim got too little; ``again_in``: in so many seconds the store looks further."""
        self.dry = True
        if again_in is not None:
            self._again_at = time.monotonic() + again_in

    def again_in(self) -> float:
        """Return in how many seconds a dry lane is to be asked for again."""
        return self._again_at - time.monotonic() if self.dry else NEVER

    def is_long_dry(self) -> bool:
        """Whether the last claim that took all is so long ago that a hint of what is ready may have been lost."""
        return self._dry_at is not None and time.monotonic() - self._dry_at > TRUSTED_DRY_SECONDS

    def capacity(self) -> int:
        """Return how many jobs to claim now: 0 while enough of them wait already."""
        prefetch = self._prefetch()
        self.lane.low_water = -1 if self.dry else prefetch // 2
        if prefetch and self.lane.waiting() > prefetch // 2:
            return 0
        free = self.lane.slots - self.lane.unfinished()
        count = min(max(free + prefetch, 0), self._most())
        in_steps = count - count % CLAIM_STEP
        # Less is claimed ahead for it, and no slot stays free.
        return in_steps if in_steps >= max(free, CLAIM_STEPS_FROM) else count

    def wanted(self) -> int:
        """Return how many jobs to claim now, 0 when the last claim took all that was ready."""
        self._asked_at = time.monotonic()
        return 0 if self.dry else self.capacity()

    def hear_of(self, come: Collection[str]) -> None:
        """Take note that products have ready jobs which had none."""
        if come:
            self._come |= set(come)
            self._coming_until = time.monotonic() + COMING_SECONDS

    def wanted_of_newcomers(self) -> int:
        """Return how many jobs to claim first, of products that had none so far: a share, where it starts before long.

        They are few, and a claim of as many as the lane takes is ten times as long. What it gets beside them comes on
        top of what waits, and so it is bounded: products that come again and again would have the lane hoard. Where
        there is no room now, they are first in the next claim.
        """
        self._asked_at = time.monotonic()
        if self.dry:
            self._come.clear()  # Their jobs are for other lanes.
            return 0
        room = self.lane.slots + 2 * self._pace.prefetch(PREFETCH_SECONDS) - self.lane.unfinished()
        return max(min(SHARE * len(self._come), self._prefetch(), room), 0)

    def has_free_slot(self) -> bool:
        """Whether a job would start at once."""
        return self.lane.unfinished() < self.lane.slots

    def leaves_slots_free(self) -> bool:
        """Whether the last claim got all that it asked for, and that was less than there are free slots."""
        return not self.dry and self.has_free_slot() and self.capacity() > 0

    def measure(self) -> None:
        """Take note of the lane's pace."""
        self._pace.update(self.lane.ended(), time.monotonic())

    def hoards(self) -> bool:
        """Whether jobs have waited here for too long."""
        return time.monotonic() - self._fed_at > HOARDED_AFTER_SECONDS and self.lane.waiting() > 0

    def submit(self, claimed: list[HeldJob]) -> None:
        """Give the lane what was claimed for it, if anything: the first jobs of newcomers go before what waits."""
        self._fed_at = time.monotonic()
        come, self._come = self._come, set()
        if claimed:
            self.lane.submit(self._behind_newcomers(claimed, come))
            if len(claimed) <= self.lane.slots:
                # They can start now, and this thread would keep the interpreter until its turn is over.
                time.sleep(0)
            self._claim_seconds = max(self._fed_at - self._asked_at, 0.8 * self._claim_seconds)
            if self._fair and _count_products(claimed) > 1:
                self._shared_until = self._fed_at + SHARED_SECONDS
        self.capacity()  # The low-water mark follows from whether this claim was dry.

    def _behind_newcomers(self, claimed: list[HeldJob], come: Collection[str]) -> list[HeldJob]:
        """Return the jobs in the order in which they start; taken back is what waits, where others go before it."""
        first = list(itertools.takewhile(lambda held: _product_of(held) in come, claimed)) if come else []
        if not first:
            return claimed
        return [*first, *self.lane.take_waiting(), *claimed[len(first) :]]

    def _prefetch(self) -> int:
        return self._pace.prefetch(self._reach_seconds() if self._fair else PREFETCH_SECONDS)

    def _most(self) -> int:
        if not self._fair:
            return MAX_CLAIM
        return COMING_MAX_CLAIM if time.monotonic() < self._coming_until else FAIR_MAX_CLAIM

    def _is_shared(self) -> bool:
        return time.monotonic() < self._shared_until

    def _reach_seconds(self) -> float:
        if not self._is_shared():
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
        return self._feed_of_type(job.job_type)

    def hear_of(self, come: Collection[str]) -> None:
        """Take note that products have ready jobs which had none."""
        for feed in self._feeds:
            feed.hear_of(come)

    def expect_work(self, job_types: Collection[str] = ()) -> None:
        """Take note that something may be ready for the lanes that run some types; none are named: for any lane.

        A lane that nothing is ready for has to read past all that is ready for others before it knows that.
        """
        is_told = bool(job_types) and all(map(self._is_known, job_types))
        meant = [self._feed_of_type(job_type) for job_type in job_types] if is_told else self._feeds
        for feed in self._feeds:
            if feed in meant or feed.is_long_dry():
                feed.dry = False

    def types_left(self) -> Collection[str]:
        """Return a type of each lane that more is ready for, by which a process of this kind knows the lane."""
        left = [feed.lane.job_types for feed in self._feeds if not feed.dry]
        if len(left) == len(self._feeds):
            return (ANY_TYPE,)
        return {next(iter(types), ANY_TYPE) if types is not None else ANY_TYPE for types in left}

    def run_dry(self, again_in: float | None) -> None:
        """Take note that a claim for every lane got too little, as ``LaneFeed.run_dry`` does."""
        for feed in self._feeds:
            feed.run_dry(again_in)

    def again_in(self) -> float:
        """Return in how many seconds a lane that is dry is to be asked for again."""
        return min(feed.again_in() for feed in self._feeds)

    def is_dry(self) -> bool:
        """Whether nothing was left ready for any lane at its last claim."""
        return all(feed.dry for feed in self._feeds)

    def has_capacity(self) -> bool:
        """Whether a claim would be made if something were ready."""
        return any(feed.capacity() for feed in self._feeds)

    def has_free_slot(self) -> bool:
        """Whether a job would start at once in some lane."""
        return any(feed.has_free_slot() for feed in self._feeds)

    def leaves_slots_free(self) -> bool:
        """Whether more may be ready for slots that are free, behind claims that were too small for all of them."""
        return any(feed.leaves_slots_free() for feed in self._feeds)

    def has_waiting(self) -> bool:
        """Whether jobs wait for a slot in some lane."""
        return any(feed.lane.waiting() for feed in self._feeds)

    def together(self) -> int:
        """Return how many jobs every lane would take, where there are several: the size of one claim for all."""
        return min(feed.wanted() for feed in self._feeds) if len(self._feeds) > 1 else 0

    def _is_known(self, job_type: str) -> bool:
        return any(
            feed.lane.job_types is not None and job_type in feed.lane.job_types for feed in self._feeds
        )

    def _feed_of_type(self, job_type: str) -> LaneFeed:
        for feed in self._feeds:
            if feed.lane.job_types is not None and job_type in feed.lane.job_types:
                return feed
        return self._feeds[0]

    def take_hoarded(self) -> list[HeldJob]:
        """Measure every lane, and take back what has waited in them for too long."""
        hoarded: list[HeldJob] = []
        for feed in self._feeds:
            feed.measure()
            if feed.hoards():
                hoarded += feed.lane.take_waiting()
        return hoarded


def _count_products(claimed: Iterable[HeldJob]) -> int:
    return len(set(map(_product_of, claimed)))


def _product_of(held: HeldJob) -> str | None:
    # The jobs of every store that claims fairly have a product, those of others need none.
    return getattr(held.job, "product", None)
