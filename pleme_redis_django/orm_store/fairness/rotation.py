"""Rotation: which products have ready jobs, as far as one worker knows, and whose turn it is.

A product joins because a hint names it, because a claim found a job of it, or because a look at all ready
products saw it. It leaves as soon as a claim gets less of it than its share.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from pleme_redis_django.jobs.interface.fair_shares import FairShares, Share, Strand
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.claim_position import MAX_SECONDS_WITHOUT_HEAD, is_slow
from pleme_redis_django.orm_store.fairness.strand_positions import MOST_STRANDS, StrandPositions
from pleme_redis_django.orm_store.job_table import M

LOOK_SECONDS = 1.0
# The share of time that looks may cost, and reading past jobs that this worker may not take.
LOOK_SHARE = 1 / 20


class Rotation:
    """The rotation of one worker in one selection; for the thread that claims."""

    def __init__(
        self,
        weights: Mapping[str, float],
        selection: JobSelection,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shares = FairShares(weights)
        self.positions = StrandPositions(clock, most=0 if selection.aging_seconds_per_point else MOST_STRANDS)
        self._queue_names: Sequence[str | None] = selection.queue_names or (None,)
        self._is_aged = selection.aging_seconds_per_point is not None
        self._clock = clock
        self._look_at = 0.0
        self._has_backlog = False
        self._vain_seconds = 0.0

    def has_turns(self) -> bool:
        """Whether to claim by shares; a product alone has every turn, and only its aging may ask for another order."""
        return self.shares.is_contended or (self._is_aged and self.shares.is_active)

    def hear_of(self, products: Collection[str]) -> set[str]:
        """Take note that somebody says that products have ready jobs; return those that had none so far."""
        strands = [Strand(product, queue_name) for product in products for queue_name in self._queue_names]
        return {strand.product for strand in strands if self.shares.join(strand)}

    def is_look_due(self) -> bool:
        """Whether to look now which products have ready jobs; while there is no backlog, nobody waits for it."""
        return self._has_backlog and self._clock() >= self._look_at

    def looked(self, strands: Iterable[Strand], seconds: float) -> None:
        """Take note of what a look saw, and how long it took."""
        self.shares.forget()
        for strand in strands:
            self.shares.join(strand)
        cost, self._vain_seconds = seconds + self._vain_seconds, 0.0
        self._look_at = self._clock() + min(max(LOOK_SECONDS, cost / LOOK_SHARE), MAX_SECONDS_WITHOUT_HEAD)

    def took(
        self,
        shares: Sequence[Share],
        jobs: Mapping[Strand, Sequence[AbstractJob]],
        seconds: float,
        *,
        is_cut: bool,
    ) -> None:
        """Take note of what a claim took of its shares; ``is_cut``: and that it could have taken more."""
        taken = {strand: len(of_strand) for strand, of_strand in jobs.items()}
        self.shares.settle(shares, taken, is_cut=is_cut)
        if not is_cut and is_slow(sum(taken.values()), seconds):
            self._vain_seconds += seconds

    def found(self, jobs: Sequence[AbstractJob], *, everything: bool) -> None:
        """Take note of what a claim in the order of all jobs took; ``everything``: and left none behind."""
        for strand in self.by_strand(jobs):
            self.shares.join(strand)
        self.shares.charge(job.product for job in jobs)
        self._has_backlog = not everything
        if everything:
            self.shares.clear()

    def by_strand(self, jobs: Iterable[M]) -> dict[Strand, list[M]]:
        """Return the jobs of each strand, in their order."""
        if self._queue_names[0] is None:
            # Once for each claimed job: a strand is hashed more slowly than its name.
            by_product: defaultdict[str, list[M]] = defaultdict(list)
            for job in jobs:
                by_product[job.product].append(job)
            return {Strand(product): of_product for product, of_product in by_product.items()}
        found: defaultdict[Strand, list[M]] = defaultdict(list)
        for job in jobs:
            found[Strand(job.product, job.queue_name)].append(job)
        return found
