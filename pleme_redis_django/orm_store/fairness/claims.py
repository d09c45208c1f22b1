"""Fair claims: each product its share first, and what is left to those that have more."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter

from pleme_redis_django.jobs.interface.fair_shares import SHARE, Share
from pleme_redis_django.orm_store.claim_request import ClaimRequest, claim_order
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
            taken, shares = _take(dialect, table, dataclasses.replace(request, limit=rest), shares, rotation)
            is_cut = len(taken) == rest
        finally:
            rotation.took(shares, taken, time.monotonic() - started, is_cut=is_cut)
        jobs += _in_turn(taken, shares, rotation)
        spare = min(SHARE * len(shares) / max(len(taken), 1), MOST_SPARE)
    return jobs


def _take(
    dialect: Dialect, table: JobTable[M], request: ClaimRequest, shares: list[Share], rotation: Rotation
) -> tuple[list[M], list[Share]]:
    """Claim the shares, behind the places of their strands where that is wise; return them in their order.

    A strand that has too little behind its place is asked for the rest at its head.
    """
    behind, places = rotation.places.split(shares)
    asked_first = {share.strand for share in behind}
    shares = sorted(shares, key=lambda share: share.strand not in asked_first)
    jobs = dialect.claim_shares(table, request, behind, places) if behind else []
    rest = request.limit - len(jobs)
    if rest:
        taken = Counter(map(rotation.strand_of, jobs))
        missing = [
            dataclasses.replace(share, jobs=share.jobs - taken[share.strand])
            for share in shares
            if share.jobs > taken[share.strand]
        ]
        rotation.places.forget(share.strand for share in missing)
        started = time.monotonic()
        first = (
            dialect.claim_shares(table, dataclasses.replace(request, limit=rest), missing) if missing else []
        )
        rotation.places.claimed_from_heads(len(first), time.monotonic() - started)
        jobs = sorted([*jobs, *first], key=claim_order) if jobs else first
    rotation.places.remember(jobs, rotation.strand_of)
    return jobs, shares


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
