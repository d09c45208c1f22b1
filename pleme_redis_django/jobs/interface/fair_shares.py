"""FairShares: how many jobs of which product the next claim asks for, so that each gets the share of its weight.

A stride scheduler (Waldspurger and Weihl 1995, "Stride Scheduling", MIT/LCS/TM-528): each product has a
virtual time, which a job moves on by 1 / weight, and whoever is furthest behind is served next.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

# So many jobs of a product are asked for at a time: more is coarser, and no faster.
SHARE = 8
# While products have fewer jobs ready than their share, more is dealt: at most so many times what is wanted.
MOST_SPARE = 8.0
# Who has just come mostly has a job or two. Such a product gets one share, and those of so many count as nothing, in a
# large claim of more: what they lack would take another statement, and a share too many is cut off and costs nothing.
UNTRIED_SHARES = 4
UNTRIED_PART = 0.25
DEFAULT_WEIGHT = 1.0
_MOST_OUTDATED = 100


class Strand(NamedTuple):
    """The ready jobs of a product, of one queue or (None) of all. A tuple: it is hashed for each share of a claim."""

    product: str
    queue_name: str | None = None


class Share(NamedTuple):
    """What a claim asks for of one strand. A tuple: one is made for each product of each claim."""

    strand: Strand
    jobs: int
    start: float
    """The virtual time of its first job."""
    stride: float
    """What each job moves that on by."""


class FairShares:
    """The virtual times of the products of one worker; for the thread that claims."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._times: dict[str, float] = {}
        """Of those that are active, and of those that have left ahead of the others."""
        self._queues: dict[str, deque[str | None]] = {}
        """Of the active products: the queues in which they have ready jobs, the next one first."""
        self._heap: list[tuple[float, str]] = []
        """At least the current time of each active product; an entry with another time is out of date."""
        self._now = 0.0
        self._spare = 1.0
        """How many times what is wanted was to be dealt last time to get it."""
        self._untried: set[str] = set()
        """Of the active products: those that have not given a whole share since they came."""

    def __len__(self) -> int:
        """How many products may have ready jobs."""
        return len(self._queues)

    @property
    def is_contended(self) -> bool:
        """Whether more than one product may have ready jobs."""
        return len(self._queues) > 1

    @property
    def is_active(self) -> bool:
        """Whether any product may have ready jobs."""
        return bool(self._queues)

    def join(self, strand: Strand) -> bool:
        """Take note that a strand has ready jobs; return whether its product had none, and has its turn now.

        A product that had none starts one share ahead: at the same place it would wait for a whole round, and
        with more, going away would pay.
        """
        product = strand.product
        queues = self._queues.get(product)
        if queues is None:
            self._queues[product] = deque([strand.queue_name])
            ahead = self._now - SHARE * self._stride(product)
            self._move(product, max(self._times.get(product, ahead), ahead))
            self._untried.add(product)
            return self._times[product] <= self._now
        if strand.queue_name not in queues:
            queues.append(strand.queue_name)
        return False

    def deal(self, jobs: int) -> list[Share]:
        """Return shares for at least ``jobs`` jobs, who is served first at the front; ``settle`` them."""
        left = jobs * self._spare
        doubtful = UNTRIED_SHARES * SHARE + int(jobs * UNTRIED_PART)
        dealt: dict[Strand, Share] = {}
        served: list[tuple[float, str]] = []
        untried: list[tuple[float, str]] = []
        products: set[str] = set()
        while left > 0:
            before, again = served[0][0] if served else float("inf"), served
            if (found := self._pop(before, products)) is not None:
                products.add(found[1])
                if found[1] in self._untried and SHARE * len(untried) < doubtful:
                    again = untried
            elif served:
                found = heapq.heappop(served)
            elif untried:
                # Nobody else has any: what they were dealt is all there is.
                left -= SHARE * len(untried)
                served, untried, doubtful = untried, [], 0
                heapq.heapify(served)
                continue
            else:
                break
            start, product = found
            heapq.heappush(again, (start + SHARE * self._stride(product), product))
            left -= SHARE if again is served else 0
            self._add_share(dealt, product, start)
        return list(dealt.values())

    def _add_share(self, dealt: dict[Strand, Share], product: str, start: float) -> None:
        strand = self._next_strand(product)
        before_it = dealt.get(strand)
        dealt[strand] = Share(
            strand=strand,
            jobs=SHARE + (before_it.jobs if before_it else 0),
            start=before_it.start if before_it else start,
            stride=self._stride(product),
        )

    def settle(self, shares: Sequence[Share], taken: Mapping[Strand, int], *, is_cut: bool) -> None:
        """Charge what was taken of the shares. Who gave less than its share has no more, and leaves until it joins.

        ``is_cut``: the claim was full, so that nobody knows of the last that gave, or of those behind it.
        """
        last = max((place for place, share in enumerate(shares) if taken.get(share.strand)), default=0)
        asked = got = 0
        for place, share in enumerate(shares):
            count = taken.get(share.strand, 0)
            is_known = not is_cut or place < last
            asked, got = asked + (share.jobs if is_known else count), got + count
            if count >= SHARE:
                self._untried.discard(share.strand.product)
            if count < share.jobs and is_known:
                self._leave(share.strand)
        self._spare = min(asked / got, MOST_SPARE) if got else 1.0
        charged: Counter[str] = Counter()
        for share in shares:
            charged[share.strand.product] += taken.get(share.strand, 0)
        self._charge(charged)

    def charge(self, products: Iterable[str]) -> None:
        """Charge jobs that were claimed in another way, one for each time that their product is named."""
        self._charge(Counter(products))

    def clear(self) -> None:
        """Take note that nobody has ready jobs."""
        self._queues.clear()
        self._untried.clear()
        self._charge({})

    def forget(self) -> None:
        """Forget the times of products that would start anew at a later one."""
        self._times = {
            product: time
            for product, time in self._times.items()
            if product in self._queues or time > self._now - SHARE * self._stride(product)
        }

    def _charge(self, jobs: Mapping[str, int]) -> None:
        for product, count in jobs.items():
            start = self._times.get(product, self._now)
            self._move(product, start + count * self._stride(product))
        if not self._queues:
            # Nobody waits for what somebody had too much.
            self._now = max([self._now, *self._times.values()])
            self._times.clear()
            self._heap.clear()
        elif len(self._heap) > 2 * len(self._queues) + _MOST_OUTDATED:
            self._heap = [(self._times[product], product) for product in self._queues]
            heapq.heapify(self._heap)
        while self._heap and self._is_past(*self._heap[0]):
            heapq.heappop(self._heap)
        if self._heap:
            self._now = max(self._now, self._heap[0][0])

    def _move(self, product: str, time: float) -> None:
        self._times[product] = time
        if product in self._queues:
            heapq.heappush(self._heap, (time, product))

    def _pop(self, before: float, served: set[str]) -> tuple[float, str] | None:
        """Take the active product that is furthest behind, if it is not later than ``before``."""
        heap = self._heap
        while heap and heap[0][0] <= before:
            time, product = heapq.heappop(heap)
            if product not in served and not self._is_past(time, product):
                return time, product
        return None

    def _is_past(self, time: float, product: str) -> bool:
        """Whether an entry of the heap says no more when its product is served."""
        return product not in self._queues or self._times[product] != time

    def _next_strand(self, product: str) -> Strand:
        queues = self._queues[product]
        queue_name = queues[0]
        queues.rotate(-1)
        return Strand(product, queue_name)

    def _leave(self, strand: Strand) -> None:
        queues = self._queues.get(strand.product)
        if queues is not None and strand.queue_name in queues:
            queues.remove(strand.queue_name)
            if not queues:
                del self._queues[strand.product]
                self._untried.discard(strand.product)

    def _stride(self, product: str) -> float:
        return 1.0 / self._weights.get(product, DEFAULT_WEIGHT)
