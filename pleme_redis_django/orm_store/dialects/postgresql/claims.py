"""Claims on PostgreSQL: one statement, one round trip; where it starts, and past what it goes."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import connections, transaction

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.claim_position import ClaimedUpTo
from pleme_redis_django.orm_store.claim_request import ClaimRequest, claim_order
from pleme_redis_django.orm_store.dialects.postgresql.claim_statement import (
    AMONG,
    BEHIND,
    COMMIT_MODE,
    HIGHER,
    Part,
    claim_statement,
)
from pleme_redis_django.orm_store.dialects.postgresql.first_later import claimed_before, first_later
from pleme_redis_django.orm_store.dialects.postgresql.first_ready import first_ready
from pleme_redis_django.orm_store.dialects.postgresql.prepared import fetch_prepared
from pleme_redis_django.orm_store.dialects.postgresql.ready_pieces import read_piece
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import (
    has_named_queues,
    is_in_one_order,
    is_merged,
)
from pleme_redis_django.orm_store.job_table import JobTable, M

K = TypeVar("K", bound=Hashable)

# How often a claim that looks first looks for other jobs when those it saw were taken by others.
MERGE_ROUNDS = 3


def claim(table: JobTable[M], request: ClaimRequest) -> list[M]:
    """Claim up to ``limit`` ready rows; return them in claim order. One round trip.

    Beside paused queues it is one round trip more, and one for each queue that has some of the first jobs;
    so it is for several queues while claims from the head are slow.
    """
    claims = _Claims(table=table, request=request)
    if request.selection.suspects:
        return claims.take(request.limit)
    return _claim_around(claims, request.limit)


def _claim_around(claims: _Claims[M], limit: int) -> list[M]:
    """Claim behind the position, then what is due later than all that was looked at, or else look at everything.

    A short claim means that nothing is ready, so that it has to have looked everywhere.
    """
    request = claims.request
    horizon, pauses = request.horizon, request.pauses
    jobs = _claim_from_position(claims, limit)
    if len(jobs) < limit and (since := horizon.since(pauses)) is not None:
        later, saw_all = _claim_later(claims, limit - len(jobs), since)
        jobs += later
        if saw_all and not horizon.is_piece_due():
            return sorted(jobs, key=claim_order)
    if rest := limit - len(jobs):
        if is_in_one_order(request.selection, pauses) and horizon.looks_in_pieces(pauses):
            jobs += claims.take_piece(rest)
        else:
            jobs += _look_at_everything(claims, rest)
    return sorted(jobs, key=claim_order)


def _claim_from_position(claims: _Claims[M], limit: int) -> list[M]:
    """Claim behind the position where that is wise, and what of higher priorities has come since."""
    position = claims.request.position
    behind = position.claimed_up_to(claims.request.pauses)
    if behind is None or is_merged(claims.request.selection, claims.request.pauses):
        return []
    jobs: list[M] = []
    if (since := position.higher_since()) is not None:
        started = time.monotonic()
        jobs = claims.take_higher(limit, behind.priority, since)
        position.claimed_higher(jobs, time.monotonic() - started)
    if rest := limit - len(jobs):
        started = time.monotonic()
        further = claims.take(rest, behind=behind)
        position.claimed_behind(further, time.monotonic() - started)
        jobs += further
    return jobs


def _claim_later(claims: _Claims[M], limit: int, since: datetime) -> tuple[list[M], bool]:
    """Claim what is due from the horizon on; return the jobs, and whether nothing else of it was ready."""
    request = claims.request
    look = request.horizon.begin_later()
    jobs, asked_at, saw_all = claims.take_later(limit, since)
    saw_all = saw_all and len(jobs) < limit
    by_queue = is_merged(request.selection, request.pauses)
    request.position.claimed_from_start(jobs, request.horizon.seconds_of(look))
    request.horizon.saw_later_ones(look, len(jobs), asked_at, all_of_them=saw_all, by_queue=by_queue)
    return jobs, saw_all


def _look_at_everything(claims: _Claims[M], limit: int) -> list[M]:
    """Claim from the head of the order, or from those of the queues where it is slow to read."""
    request, position = claims.request, claims.request.position
    by_queue = is_merged(request.selection, request.pauses)
    look = request.horizon.begin()
    jobs: list[M] = []
    saw_all = False
    if by_queue:
        jobs, saw_all = claims.take_by_queue(limit)
    elif has_named_queues(request.selection) and position.is_head_slow():
        jobs, saw_all = claims.take_by_queue(limit)
        position.claimed_by_queue(jobs)
    if not (by_queue or saw_all or len(jobs) == limit):
        started = time.monotonic()
        first = claims.take(limit - len(jobs))
        position.claimed_from_start(first, time.monotonic() - started)
        jobs, saw_all = jobs + first, True
    request.horizon.saw(look, len(jobs), request.pauses, everything=saw_all and len(jobs) < limit)
    return jobs


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Claims(Generic[M]):
    """The ways to claim for one worker in one selection."""

    table: JobTable[M]
    request: ClaimRequest

    def take(
        self, limit: int, *, behind: ClaimedUpTo | None = None, selection: JobSelection | None = None
    ) -> list[M]:
        """Claim up to ``limit`` rows in claim order, those behind ``behind`` alone where it is given."""
        selection = selection or self.request.selection
        if behind is None:
            jobs = self._run(limit, selection)
        else:
            jobs = self._run(limit, selection, BEHIND, (behind.priority, behind.run_after, behind.id))
        # A join keeps no order, though it mostly comes out in that of the subquery.
        return sorted(jobs, key=_suspect_order if selection.suspects else claim_order)

    def take_by_queue(self, limit: int) -> tuple[list[M], bool]:
        """Claim from the head of each open queue; return the jobs, and whether nothing else was ready."""

        def see(limit: int) -> list[str]:
            return first_ready(self.table, self.request.selection, limit, self.request.pauses)

        def take(queue_name: str, share: int) -> list[M]:
            narrowed = dataclasses.replace(self.request.selection, queue_names=(queue_name,))
            return self.take(share, selection=narrowed)

        return _take_seen(limit, see, take)

    def take_higher(self, limit: int, priority: int, since: datetime) -> list[M]:
        """Claim what has a higher priority and is due from ``since`` on."""
        return sorted(self._run(limit, self.request.selection, HIGHER, (priority, since)), key=claim_order)

    def take_later(self, limit: int, since: datetime) -> tuple[list[M], datetime, bool]:
        """Claim what is due from ``since`` on.

        Returns the jobs, the database's time of the last look, and whether nothing else of it was ready then.
        """
        asked_at = since

        def see(limit: int) -> list[int]:
            nonlocal asked_at
            asked_at, priorities = first_later(
                self.table, self.request.selection, limit, self.request.pauses, since
            )
            return priorities

        def take(priority: int, share: int) -> list[M]:
            return self.take(share, behind=claimed_before(priority, since))

        jobs, saw_all = _take_seen(limit, see, take)
        return jobs, asked_at, saw_all

    def take_piece(self, limit: int) -> list[M]:
        """Claim what the next piece of a long look finds."""
        request = self.request
        look = request.horizon.begin_later()
        piece = read_piece(self.table, request.selection, request.pauses, request.horizon.read_up_to)
        jobs = self._take_among(piece.ids[:limit], limit)
        if len(jobs) < limit:
            # It locks nothing: other workers that read the same have taken the first ones.
            jobs += self._take_among(piece.ids[limit:], limit - len(jobs))
        request.horizon.saw_piece(look, piece, request.pauses, is_enough=len(jobs) == limit)
        return sorted(jobs, key=claim_order)

    def _take_among(self, job_ids: Sequence[UUID], limit: int) -> list[M]:
        return self._run(limit, self.request.selection, AMONG, (list(job_ids),)) if job_ids else []

    def _run(
        self, limit: int, selection: JobSelection, part: Part | None = None, of_part: tuple[Any, ...] = ()
    ) -> list[M]:
        using, worker_id = self.table.using, self.request.worker_id
        statement = claim_statement(
            self.table,
            selection,
            limit,
            self.request.pauses,
            part,
            is_limited=self.request.is_limited,
            keeps_slots=self.request.keeps_slots,
        )
        if connections[using].in_atomic_block:
            # A failure is the caller's then, and so is how the transaction commits.
            with transaction.mark_for_rollback_on_error(using=using):
                return statement.fetch(*of_part, None, worker_id)
        if part is None:
            return fetch_prepared(statement, COMMIT_MODE, worker_id)
        return statement.fetch(*of_part, COMMIT_MODE, worker_id)


def _take_seen(
    limit: int, see: Callable[[int], list[K]], take: Callable[[K, int], list[M]]
) -> tuple[list[M], bool]:
    """Claim what is seen, group by group; return the jobs, and whether that is all that was to be seen."""
    jobs: list[M] = []
    for _round in range(MERGE_ROUNDS):
        seen = see(limit - len(jobs))
        claimed: list[M] = []
        for group, share in Counter(seen).items():
            claimed += take(group, share)
        jobs += claimed
        # Fewer than were seen: other workers have taken some, and there may be more after them.
        if len(claimed) == len(seen):
            return sorted(jobs, key=claim_order), True
    return sorted(jobs, key=claim_order), False


def _suspect_order(job: AbstractJob) -> Any:
    return job.run_after
