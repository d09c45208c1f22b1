"""ClaimPosition: how far claims have come, so that dead rows before that point are not read again.

While somebody holds a snapshot (a long report, a dump, a forgotten transaction), PostgreSQL keeps every
row version that it might see, and a claim from the head of the index reads past all that have ended since:
10 ms for 100,000 of them, and growing. So a claim that was slow remembers where it ended, and the next
ones start there. From the head is looked again as soon as that has cost a twentieth of the time since,
because one that was due earlier may have come. What has a higher priority is looked for much sooner: whatever
became ready since the last such look is due later than the claims had come then, which the index finds.

Ready jobs that are not for this worker cost the same. Of a worker with several queues, those of other
queues are gone around by looking at the head of each queue instead, for as long.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

# What a claim from the head may take before its time counts as spent on dead rows.
EXPECTED_SECONDS = 0.002
EXPECTED_SECONDS_PER_JOB = 0.00003
# A distant database answers nothing sooner: a claim is not slow below this many round trips.
EXPECTED_ROUND_TRIPS = 5
MEASURE_ROUND_TRIP_SECONDS = 60.0
# One slow claim is a busy machine; this many in a row are the index.
SLOW_CLAIMS = 3
# A busy machine alone does not make a claim this slow.
SURELY_SLOW_SECONDS = 0.25
# The share of time that claims from the head may cost, and how long an earlier job may wait for one.
HEAD_SHARE = 1 / 20
MAX_SECONDS_WITHOUT_HEAD = 5.0
# The same where no jobs are let in that have waited for a place or their turn: next to none are due earlier then.
# Claims from the head take seconds while a snapshot is held for long.
MAX_SECONDS_WITH_NONE_LET_IN = 120.0
# How long a job of a higher priority waits meanwhile.
SECONDS_WITHOUT_HIGHER = 0.1
# Due times are those of statements that may have been committed only after a look.
COMMIT_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class ClaimedUpTo:
    """How far a claim has got in claim order: its last job."""

    priority: int
    run_after: datetime
    id: UUID


class InClaimOrder(Protocol):
    """What a claim goes by of each job that it takes."""

    @property
    def priority(self) -> int: ...
    @property
    def run_after(self) -> datetime: ...
    @property
    def pk(self) -> UUID: ...


class ClaimPosition:
    """The position of one worker in the claim order of one selection; for the thread that claims."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        round_trip_seconds: Callable[[], float] = lambda: 0.0,
        lets_in: Callable[[], bool] = lambda: False,
    ) -> None:
        self._clock = clock
        self._lets_in = lets_in
        self._measure_round_trip = round_trip_seconds
        self._round_trip_seconds = 0.0
        self._measure_at = 0.0
        self._claimed_up_to: ClaimedUpTo | None = None
        self._slow_claims = 0
        self._head_at = 0.0
        self._pauses: object = None
        self._higher_since: datetime | None = None
        self._higher_at = 0.0

    def claimed_up_to(self, pauses: object = None) -> ClaimedUpTo | None:
        """Return where the next claim starts; None: at the head. With other pauses, earlier jobs may be free."""
        if pauses != self._pauses:
            self._pauses, self._head_at = pauses, 0.0
        return self._claimed_up_to if self.is_head_slow() else None

    def look_again(self) -> None:
        """Start the next claim at the head: jobs have become ready that are due before the position."""
        self._head_at = 0.0

    def is_head_slow(self) -> bool:
        """Return whether claims from the head were slow, and are to be kept from for now."""
        return self._clock() < self._head_at

    def claimed_from_start(self, jobs: Sequence[InClaimOrder], seconds: float) -> None:
        """Take note of what a claim took that read all from the head or from a horizon on, and how long."""
        self._slow_claims = self._slow_claims + 1 if is_slow(len(jobs), seconds) else 0
        is_surely_slow = self._slow_claims >= SLOW_CLAIMS or seconds > SURELY_SLOW_SECONDS
        if is_surely_slow and seconds > EXPECTED_ROUND_TRIPS * self._round_trip():
            self._head_at = self._clock() + seconds_without(seconds, lets_in=self._lets_in())
        self._remember(jobs)
        self._saw_higher()

    def claimed_behind(self, jobs: Sequence[InClaimOrder], seconds: float) -> None:
        """Take note of what a claim from ``claimed_up_to()`` took, and how long."""
        if is_slow(len(jobs), seconds) and not jobs and seconds > EXPECTED_ROUND_TRIPS * self._round_trip():
            # Jobs that are not for this worker stand behind it too.
            self._claimed_up_to = None
        self._remember(jobs)

    def higher_since(self) -> datetime | None:
        """Return from which due time on jobs of higher priorities are to be looked for now; None: not yet."""
        return self._higher_since if self._clock() >= self._higher_at else None

    def claimed_higher(self, jobs: Sequence[InClaimOrder], seconds: float) -> None:
        """Take note of what a claim of higher priorities took, and how long; it leaves none where it found none."""
        if not jobs:
            self._saw_higher()
            self._higher_at = self._clock() + max(SECONDS_WITHOUT_HIGHER, seconds / HEAD_SHARE)

    def claimed_by_queue(self, jobs: Sequence[InClaimOrder]) -> None:
        """Take note of what a claim from the head of each queue took."""
        self._remember(jobs)
        self._saw_higher()

    def _round_trip(self) -> float:
        """Return how long the database takes for nothing; asked once a minute, and only after slow claims."""
        if self._clock() >= self._measure_at:
            self._measure_at = self._clock() + MEASURE_ROUND_TRIP_SECONDS
            self._round_trip_seconds = self._measure_round_trip()
        return self._round_trip_seconds

    def _remember(self, jobs: Sequence[InClaimOrder]) -> None:
        if jobs:
            last = jobs[-1]
            self._claimed_up_to = ClaimedUpTo(last.priority, last.run_after, last.pk)

    def _saw_higher(self) -> None:
        """Take note that nothing was left before the position: what comes is due later than it, at the least."""
        if self._claimed_up_to is not None:
            self._higher_since = self._claimed_up_to.run_after - timedelta(seconds=COMMIT_SECONDS)


def is_slow(count: int, seconds: float) -> bool:
    """Return whether a claim of this many jobs took longer than it should."""
    return seconds > EXPECTED_SECONDS + EXPECTED_SECONDS_PER_JOB * count


def seconds_without(cost_seconds: float, *, lets_in: bool) -> float:
    """Return for how long a look that cost so much is not repeated; ``lets_in``: where jobs are let in."""
    most = MAX_SECONDS_WITHOUT_HEAD if lets_in else MAX_SECONDS_WITH_NONE_LET_IN
    return min(cost_seconds / HEAD_SHARE, most)
