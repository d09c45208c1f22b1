"""The turns of products in a MemoryJobStore: what a fair claim takes of the ready jobs."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable

from pleme_redis_django.jobs.interface.fair_shares import FairShares, Strand
from pleme_redis_django.testing.memory_job import MemoryJob


def first_in_turn(shares: FairShares, ready: Iterable[MemoryJob], limit: int) -> list[MemoryJob]:
    """Return up to ``limit`` of the jobs, which are in claim order, each product its share first."""
    waiting: defaultdict[str, deque[MemoryJob]] = defaultdict(deque)
    for job in ready:
        waiting[job.product].append(job)
        shares.join(Strand(job.product))
    taken: list[MemoryJob] = []
    while len(taken) < limit and (dealt := shares.deal(limit - len(taken))):
        of_strand: Counter[Strand] = Counter()
        for share in dealt:
            jobs = waiting[share.strand.product]
            count = min(share.jobs, len(jobs), limit - len(taken))
            of_strand[share.strand] = count
            taken += [jobs.popleft() for _ in range(count)]
        shares.settle(dealt, of_strand, is_cut=len(taken) == limit)
    return taken
