"""Fair claims: first each product gets its share, then what is left goes to those that have more."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

from pleme_redis_django.jobs.interface.fair_shares import Share, Strand
from pleme_redis_django.orm_store.claim_request import ClaimRequest
from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.fairness.rotation import Rotation
from pleme_redis_django.orm_store.fairness.turn_order import turn_order
from pleme_redis_django.orm_store.job_table import JobTable, M

# How often a claim goes on to the next products when some had less than their share.
MAX_ROUNDS = 4


def claim_fairly(dialect: Dialect, table: JobTable[M], request: ClaimRequest, rotation: Rotation) -> list[M]:
    """Claim up to ``limit`` ready rows; return them in the order in which the products have their turns.

    While one product alone has ready jobs, this is the claim of everybody else. So is the rest of a claim that
    got too little of the products in the rotation: what it finds joins, and only it says that nothing is ready.
    """
    if rotation.is_look_due(request.limit):
        look = rotation.begin_look()
        found = dialect.ready_strands(table, request.selection, request.pauses, look.after, look.until)
        rotation.looked(look, *found)
    jobs = _claim_shares(dialect, table, request, rotation)
    if len(jobs) < request.limit:
        rest = _rest_of(request, jobs)
        first = dialect.claim(table, rest)
        rotation.found(first, everything=len(first) < rest.limit)
        jobs += first
    return jobs


def _claim_shares(dialect: Dialect, table: JobTable[M], request: ClaimRequest, rotation: Rotation) -> list[M]:
    jobs: list[M] = []
    for _round in range(MAX_ROUNDS):
        rest = _rest_of(request, jobs)
        if not rest.limit or not rotation.has_turns():
            break
        shares = rotation.shares.deal(rest.limit)
        started = time.monotonic()
        taken: dict[Strand, list[M]] = {}
        is_cut = True
        try:
            taken, shares = _take(dialect, table, rest, shares, rotation)
            is_cut = _count(taken) == rest.limit
        finally:
            rotation.took(shares, taken, time.monotonic() - started, is_cut=is_cut)
        jobs += _in_turn(taken, shares)
    return jobs


def _take(
    dialect: Dialect, table: JobTable[M], request: ClaimRequest, shares: list[Share], rotation: Rotation
) -> tuple[dict[Strand, list[M]], list[Share]]:
    """Claim the shares, behind the positions of their strands where that is wise; return the shares as they were asked.

    Strands without a position come first: those behind theirs mostly have all that is wanted, so that who has just
    come would find the claim full, again and again. A strand that has too little behind its position is asked for the
    rest at its head: now, or first of all in the next claim if this one is full.
    """
    behind, positions = rotation.positions.split(shares)
    if not behind:
        taken = rotation.by_strand(_take_at_heads(dialect, table, request, shares, rotation))
        rotation.positions.remember(taken)
        return taken, shares
    asked_behind = {share.strand for share in behind}
    heads = [share for share in shares if share.strand not in asked_behind]
    jobs = dialect.claim_shares(table, request, heads) if heads else []
    further: list[M] = []
    if len(jobs) < request.limit:
        further = dialect.claim_shares(table, _rest_of(request, jobs), behind, positions)
        jobs += further
    missing = list(_missing(behind, rotation.by_strand(further), is_cut=len(jobs) == request.limit))
    if missing and len(jobs) < request.limit:
        rotation.positions.forget(share.strand for share in missing)
        jobs += _take_at_heads(dialect, table, _rest_of(request, jobs), missing, rotation)
        jobs.sort(key=turn_order(request.selection))
    taken = rotation.by_strand(jobs)
    rotation.positions.remember(taken)
    if len(jobs) == request.limit:
        unasked = {share.strand for share in missing}
        rotation.positions.forget(unasked)
        behind = [_asked_for(share, taken) if share.strand in unasked else share for share in behind]
    return taken, [*heads, *behind]


def _take_at_heads(
    dialect: Dialect, table: JobTable[M], request: ClaimRequest, shares: list[Share], rotation: Rotation
) -> list[M]:
    """Claim shares of strands whose heads may be behind many dead entries."""
    started = time.monotonic()
    jobs = dialect.claim_shares(table, request, shares)
    rotation.positions.claimed_from_heads(len(jobs), time.monotonic() - started)
    return jobs


def _rest_of(request: ClaimRequest, jobs: Sequence[M]) -> ClaimRequest:
    """Return the request for what these jobs leave."""
    return dataclasses.replace(request, limit=request.limit - len(jobs))


def _missing(shares: list[Share], taken: Mapping[Strand, Sequence[M]], *, is_cut: bool) -> Iterator[Share]:
    """Yield what is left of the shares that gave too little; of a claim that is cut, nobody knows of the last ones."""
    last = max((place for place, share in enumerate(shares) if taken.get(share.strand)), default=0)
    for share in shares[:last] if is_cut else shares:
        left = share.jobs - len(taken.get(share.strand, ()))
        if left:
            yield share._replace(jobs=left)


def _asked_for(share: Share, taken: Mapping[Strand, Sequence[M]]) -> Share:
    """Return a share of what its strand gave: it may have more, and keeps its turn."""
    return share._replace(jobs=len(taken.get(share.strand, ())))


def _count(jobs: Mapping[Strand, Sequence[M]]) -> int:
    return sum(map(len, jobs.values()))


def _in_turn(jobs: Mapping[Strand, list[M]], shares: list[Share]) -> list[M]:
    """Return the jobs as the products have their turns."""
    turns: list[tuple[float, int, M]] = []
    for share in shares:
        turn, stride = share.start, share.stride
        for job in jobs.get(share.strand, ()):
            turns.append((turn, len(turns), job))
            turn += stride
    return [job for _turn, _place, job in sorted(turns)]
