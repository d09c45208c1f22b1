"""StrandPositions: how far claims have come in each strand, so that dead index entries before that are not read again.

As ``ClaimPosition`` for one order of all jobs: a product that is served a thousand times a second leaves as
many dead entries at its head, and every claim reads past them until the next vacuum. So after some slow
claims the next ones start each strand behind its last job. From the heads is looked again as soon as that has
cost a twentieth of the time since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from pleme_redis_django.jobs.interface.fair_shares import Share, Strand
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store import claim_position
from pleme_redis_django.orm_store.claim_position import SLOW_CLAIMS, ClaimedUpTo, is_slow

# With more strands the dead are spread over them, and keeping positions costs more than it saves.
MOST_STRANDS = 100


class StrandPositions:
    """The positions of one worker in the strands of one selection; for the thread that claims."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, most: int = MOST_STRANDS) -> None:
        self._clock = clock
        self._most = most
        self._positions: dict[Strand, ClaimedUpTo] = {}
        self._slow_claims = 0
        self._head_at = 0.0

    def of(self, strand: Strand) -> ClaimedUpTo | None:
        """Return the position that the next claim of a strand starts behind; None: it starts at the head."""
        return self._positions.get(strand) if self._clock() < self._head_at else None

    def claimed_from_heads(self, count: int, seconds: float) -> None:
        """Take note of what a claim from the heads took, and how long."""
        self._slow_claims = self._slow_claims + 1 if is_slow(count, seconds) else 0
        if self._slow_claims >= SLOW_CLAIMS:
            self._head_at = self._clock() + claim_position.seconds_without(seconds, lets_in=True)

    def remember(self, jobs: Mapping[Strand, Sequence[AbstractJob]]) -> None:
        """Take note of the last job of each strand; its jobs are in claim order."""
        for strand, of_strand in jobs.items():
            last = of_strand[-1]
            self._positions[strand] = ClaimedUpTo(last.priority, last.run_after, last.pk)
        if len(self._positions) > self._most:
            self._positions.clear()

    def forget(self, strands: Iterable[Strand]) -> None:
        """Start strands at their heads: nothing is ready behind their positions."""
        for strand in strands:
            self._positions.pop(strand, None)

    def split(self, shares: Sequence[Share]) -> tuple[list[Share], list[ClaimedUpTo]]:
        """Return the shares that start behind a position, and these positions."""
        found = [(share, position) for share in shares if (position := self.of(share.strand)) is not None]
        return [share for share, _position in found], [position for _share, position in found]
