"""Rotation: which products have ready jobs, as far as one worker knows, and whose turn it is.

A product joins because a hint names it, because a claim found a job of it, or because a look at all ready
products saw it. It leaves as soon as a claim gets less of it than its share.
"""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from pleme_redis_django.jobs.interface.fair_shares import FairShares, Share, Strand
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.claim_position import MAX_SECONDS_WITHOUT_HEAD, is_slow
from pleme_redis_django.orm_store.fairness.strand_positions import MOST_STRANDS, StrandPositions
from pleme_redis_django.orm_store.job_table import M

LOOK_SECONDS = 1.0  # From the beginning of one look at all products to that of the next.
# The share of time that looks may cost, and reading past jobs that this worker may not take.
LOOK_SHARE = 1 / 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProductLook:
    """A look at which products have ready jobs, or a part of one."""

    after: str | None
    """After which product it goes on; None: at the first."""
    until: str | None
    """With which product it ends; None: with the last."""
    started: float


@dataclasses.dataclass(slots=True, kw_only=True)
class _Progress:
    """How far the look that is under way has come."""

    since: float = 0.0
    cost_seconds: float = 0.0
    on_after: str | None = None
    """After which product it goes on; None: none is under way."""
    until: str | None = None
    """With which product it ends; None: with the last."""
    back: tuple[str, str] | None = None
    """After which product, and until which one, it goes on when it has come to the last."""


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
        self._found_last: str | None = None
        """The product of the last job that was found; other workers have found others."""
        self._progress = _Progress()
        self._has_backlog = False
        self._vain_seconds = 0.0

    def has_turns(self) -> bool:
        """Whether to claim by shares; a product alone has every turn, and only its aging may ask for another order."""
        return self.shares.is_contended or (self._is_aged and self.shares.is_active)

    def hear_of(self, products: Collection[str]) -> set[str]:
        """Take note that somebody says that products have ready jobs; return those that had none so far."""
        strands = [Strand(product, queue_name) for product in products for queue_name in self._queue_names]
        return {strand.product for strand in strands if self.shares.join(strand)}

    def is_look_due(self, jobs: int = 0) -> bool:
        """Whether to look now which products have ready jobs; while there is no backlog, nobody waits for it.

        A look goes on at once while fewer products are known than a claim of ``jobs`` may be of.
        """
        if not self._has_backlog:
            return False
        is_short = self._progress.on_after is not None and len(self.shares) < jobs
        return is_short or self._clock() >= self._look_at

    def begin_look(self) -> ProductLook:
        """Begin a look, or go on with the one that is under way."""
        now = self._clock()
        if self._progress.on_after is None:
            self._progress = _Progress(since=now)
            self.shares.forget()
        return ProductLook(after=self._progress.on_after, until=self._progress.until, started=now)

    def looked(self, look: ProductLook, strands: Iterable[Strand], on_after: str | None) -> None:
        """Take note of what a look saw, and after which product it goes on; None: it is at its end.

        A long one goes on behind a product of which this worker has found a job, and comes round to it: workers
        that looked in the same order would all claim of the same products, and find little left of most.
        """
        for strand in strands:
            self.shares.join(strand)
        now, progress = self._clock(), self._progress
        seconds = now - look.started
        progress.cost_seconds += seconds
        if look.after is None and on_after is not None and self._found_last is not None:
            progress.back = (on_after, self._found_last)
            on_after = self._found_last
        elif on_after is None and progress.back is not None:
            (on_after, progress.until), progress.back = progress.back, None
        progress.on_after = on_after
        if on_after is not None:
            self._look_at = now + seconds * (1 / LOOK_SHARE - 1)
            return
        cost, self._vain_seconds = progress.cost_seconds + self._vain_seconds, 0.0
        since_then = min(max(LOOK_SECONDS, cost / LOOK_SHARE), MAX_SECONDS_WITHOUT_HEAD)
        self._look_at = max(progress.since + since_then, now + seconds)

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
        if is_cut:
            # Claims that the known products fill say nothing of the others.
            self._has_backlog = True
        if not is_cut and is_slow(sum(taken.values()), seconds):
            self._vain_seconds += seconds

    def found(self, jobs: Sequence[AbstractJob], *, everything: bool) -> None:
        """Take note of what a claim in the order of all jobs took; ``everything``: and left none behind."""
        for strand in self.by_strand(jobs):
            self.shares.join(strand)
            if strand.queue_name is None:
                self._found_last = strand.product
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
