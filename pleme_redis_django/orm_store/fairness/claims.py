"""Fair claims: each product its share first, and what is left to those that have more."""

from __future__ import annotations

import dataclasses
import time

from pleme_redis_django.jobs.interface.fair_shares import SHARE, Share
from pleme_redis_django.orm_store.claim_request import ClaimRequest
from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.fairness.rotation import Rotation
from pleme_redis_django.orm_store.job_table import JobTable, M

# How often a claim goes on to the next products when some had less than their share.
MAX_ROUNDS = 4
# A round that got little asks for so many times what is missing, at most.
MOST_SPARE = 8.0


def claim_fairly(dialect: Dialect, table: JobTable[M], request: ClaimRequest, rotation: Rotation) -> list[M]:
    """Claim up to ``limit`` ready rows; return them in the order in which the products have their turns.

    While one product alone has ready jobs, this is the claim of everybody else. So is the rest of a claim that
    got too little of the products in the rotation: what it finds joins, and only it says that nothing is ready.
    """
    if rotation.is_look_due():
        started = time.monotonic()
        strands = dialect.ready_strands(table, request.selection, request.pauses)
        rotation.looked(strands, time.monotonic() - started)
    jobs = _claim_shares(dialect, table, request, rotation)
    rest = request.limit - len(jobs)
    if rest:
        first = dialect.claim(table, dataclasses.replace(request, limit=rest))
        rotation.found(first, everything=len(first) < rest)
        jobs += first
    return jobs


def _claim_shares(dialect: Dialect, table: JobTable[M], request: ClaimRequest, rotation: Rotation) -> list[M]:
    jobs: list[M] = []
    spare = 1.0
    for _round in range(MAX_ROUNDS):
        rest = request.limit - len(jobs)
        if not rest or not rotation.shares.is_contended:
            break
        shares = rotation.shares.deal(int(rest * spare))
        started = time.monotonic()
        taken: list[M] = []
        is_cut = True
        try:
            taken = dialect.claim_shares(table, dataclasses.replace(request, limit=rest), shares)
            is_cut = len(taken) == rest
        finally:
            rotation.took(shares, taken, time.monotonic() - started, is_cut=is_cut)
        jobs += _in_turn(taken, shares, rotation)
        spare = min(SHARE * len(shares) / max(len(taken), 1), MOST_SPARE)
    return jobs


def _in_turn(jobs: list[M], shares: list[Share], rotation: Rotation) -> list[M]:
    """Return the jobs, which are in claim order, as the products have their turns."""
    next_time = {share.strand: share.start for share in shares}
    stride = {share.strand: share.stride for share in shares}
    turns: list[tuple[float, int]] = []
    for place, job in enumerate(jobs):
        strand = rotation.strand_of(job)
        turns.append((next_time[strand], place))
        next_time[strand] += stride[strand]
    return [jobs[place] for _time, place in sorted(turns)]
