"""Claims: which ready rows a worker takes, in one round trip; where it starts, and past what it goes."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import connections, transaction
from django.db.models import F, Value
from django.db.models.functions import Now

from pleme_redis_django.jobs.definitions.uniqueness import waits_only
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.store import JobSelection
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.claim_position import ClaimedUpTo, ClaimPosition
from pleme_redis_django.orm_store.claim_statement import claim_statement
from pleme_redis_django.orm_store.horizon import Horizon
from pleme_redis_django.orm_store.later_rows import claimed_before, first_later
from pleme_redis_django.orm_store.lookups import any_of
from pleme_redis_django.orm_store.open_queues import first_ready
from pleme_redis_django.orm_store.pauses import Pauses, is_closed
from pleme_redis_django.orm_store.prepared import fetch_prepared
from pleme_redis_django.orm_store.ready_rows import M, claimable_rows, has_named_queues, is_merged

K = TypeVar("K", bound=Hashable)

# How often a claim that looks first looks for other jobs when those it saw were taken by others.
MERGE_ROUNDS = 3


def claim_jobs(
    model: type[M],
    using: str,
    worker_id: str,
    limit: int,
    selection: JobSelection,
    pauses: Pauses,
    position: ClaimPosition,
    horizon: Horizon,
) -> list[M]:
    """Claim up to ``limit`` ready rows; return them in claim order. One round trip on PostgreSQL.

    Nothing when there is a pause that ``pauses`` does not have. Beside paused queues it is one round
    trip more, and one for each queue that has some of the first jobs; so it is for several queues while
    claims from the head are slow. ``position``, ``horizon``: those of the caller in this selection.
    """
    if is_closed(selection, pauses):
        return []
    claims = _Claims(model=model, using=using, worker_id=worker_id, selection=selection, pauses=pauses)
    if selection.suspects or connections[using].vendor != "postgresql":
        jobs = claims.take(limit)
    else:
        jobs = _claim_around(claims, limit, position, horizon)
    worker = UUID(worker_id)
    for job in jobs:
        _mark_taken(job, worker)
    return jobs


def _claim_around(claims: _Claims[M], limit: int, position: ClaimPosition, horizon: Horizon) -> list[M]:
    """Claim what is due later than all that was looked at, or else look at everything."""
    jobs: list[M] = []
    if (since := horizon.since(claims.pauses)) is not None:
        look = horizon.begin_later()
        jobs, saw_all = claims.take_later(limit, since)
        horizon.saw_later_ones(look, len(jobs), all_of_them=saw_all and len(jobs) < limit)
        if saw_all or len(jobs) == limit:
            return jobs
    look, rest = horizon.begin(), limit - len(jobs)
    if is_merged(claims.using, claims.selection, claims.pauses):
        first, saw_all = claims.take_by_queue(rest)
    else:
        first, saw_all = _claim_from(position, rest, claims), True
    horizon.saw(look, len(first), claims.pauses, everything=saw_all and len(first) < rest)
    return first if not jobs else sorted(first + jobs, key=_claim_order)


def _claim_from(position: ClaimPosition, limit: int, claims: _Claims[M]) -> list[M]:
    """Claim behind the position where that is wise, and from the head what is not found there.

    A short claim means that nothing is ready, so that it has to have looked everywhere.
    """
    place, saw_all = position.claimed_up_to(), False
    jobs: list[M] = []
    if place is not None:
        started = time.monotonic()
        jobs = claims.take(limit, place=place)
        position.claimed_behind(jobs, time.monotonic() - started)
    by_queue = has_named_queues(claims.using, claims.selection)
    if by_queue and len(jobs) < limit and position.is_head_slow():
        first, saw_all = claims.take_by_queue(limit - len(jobs))
        position.claimed_by_queue(first)
        jobs = sorted(first + jobs, key=_claim_order)
    if saw_all or len(jobs) == limit:
        return jobs
    started = time.monotonic()
    first = claims.take(limit - len(jobs))
    position.claimed_from_head(first, time.monotonic() - started)
    return first if not jobs else sorted(first + jobs, key=_claim_order)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Claims(Generic[M]):
    """The ways to claim for one worker in one selection."""

    model: type[M]
    using: str
    worker_id: str
    selection: JobSelection
    pauses: Pauses

    def take(
        self, limit: int, *, place: ClaimedUpTo | None = None, selection: JobSelection | None = None
    ) -> list[M]:
        """Claim up to ``limit`` rows in claim order, those behind ``place`` alone where one is given."""
        selection = selection or self.selection
        if connections[self.using].vendor == "postgresql":
            jobs = self._take_by_statement(limit, selection, place)
            # A join keeps no order, though it mostly comes out in that of the subquery.
            return sorted(jobs, key=_suspect_order if selection.suspects else _claim_order)
        with transaction.atomic(using=self.using):
            jobs = list(claimable_rows(self.model, self.using, selection, self.pauses)[:limit])
            _take(self.model, self.using, self.worker_id, jobs)
        for job in jobs:
            job.attempt += 1
        return jobs

    def take_by_queue(self, limit: int) -> tuple[list[M], bool]:
        """Claim from the head of each open queue; return the jobs, and whether nothing else was ready."""

        def see(limit: int) -> list[str]:
            return first_ready(self.model, self.using, self.selection, limit, self.pauses)

        def take(queue_name: str, share: int) -> list[M]:
            narrowed = dataclasses.replace(self.selection, queue_names=(queue_name,))
            return self.take(share, selection=narrowed)

        return _take_seen(limit, see, take)

    def take_later(self, limit: int, since: datetime) -> tuple[list[M], bool]:
        """Claim what is due from ``since`` on; return the jobs, and whether nothing else of it was ready."""

        def see(limit: int) -> list[int]:
            return first_later(self.model, self.using, self.selection, limit, self.pauses, since)

        def take(priority: int, share: int) -> list[M]:
            return self.take(share, place=claimed_before(priority, since))

        return _take_seen(limit, see, take)

    def _take_by_statement(self, limit: int, selection: JobSelection, place: ClaimedUpTo | None) -> list[M]:
        is_behind = place is not None
        statement = claim_statement(self.model, self.using, selection, limit, self.pauses, behind=is_behind)
        behind = () if place is None else (place.priority, place.run_after, place.id)
        if connections[self.using].in_atomic_block:
            # A failure is the caller's then, and so is how the transaction commits.
            with transaction.mark_for_rollback_on_error(using=self.using):
                return statement.fetch(*behind, None, self.worker_id)
        if place is None:
            return fetch_prepared(statement, "off", self.worker_id)
        return statement.fetch(*behind, "off", self.worker_id)


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
        # Fewer than were seen: other workers have taken them, and there may be more behind.
        if len(claimed) == len(seen):
            return sorted(jobs, key=_claim_order), True
    return sorted(jobs, key=_claim_order), False


def _claim_order(job: AbstractJob) -> tuple[Any, ...]:
    return -job.priority, job.run_after, job.id


def _suspect_order(job: AbstractJob) -> Any:
    return job.run_after


def _take(model: type[M], using: str, worker_id: str, jobs: Sequence[M]) -> None:
    rows = model._base_manager.using(using)
    rows.filter(any_of("id", [job.id for job in jobs])).update(
        status=JobStatus.RUNNING,
        worker_id=worker_id,
        attempt=F("attempt") + 1,
        claimed_at=Now(),
        started_at=Value(None),
        updated_at=Now(),
    )
    free = [job.id for job in jobs if waits_only(job.unique_slot)]
    rows.filter(any_of("id", free)).update(unique_slot=None)


def _mark_taken(job: Any, worker_id: UUID) -> None:
    job.status = JobStatus.RUNNING
    job.worker_id = worker_id
