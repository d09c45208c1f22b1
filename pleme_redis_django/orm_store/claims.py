"""Claims: which ready rows a worker takes, in one round trip; where it starts, and past what it goes."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.models import F, Value
from django.db.models.functions import Now

from pleme_redis_django.jobs.job import JobStatus
from pleme_redis_django.jobs.store import JobSelection
from pleme_redis_django.jobs.uniqueness import waits_only
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.claim_position import ClaimPosition, Place
from pleme_redis_django.orm_store.claim_statement import claim_statement
from pleme_redis_django.orm_store.lookups import any_of
from pleme_redis_django.orm_store.open_queues import first_ready
from pleme_redis_django.orm_store.pauses import Pauses, is_closed
from pleme_redis_django.orm_store.prepared import fetch_prepared
from pleme_redis_django.orm_store.ready_rows import M, claimable_rows, has_named_queues, is_merged

# How often a claim beside paused queues looks for other jobs when those it saw were taken by others.
MERGE_ROUNDS = 3


def claim_jobs(
    model: type[M],
    using: str,
    worker_id: str,
    limit: int,
    selection: JobSelection,
    pauses: Pauses,
    position: ClaimPosition,
) -> list[M]:
    """Claim up to ``limit`` ready rows; return them in claim order. One round trip on PostgreSQL.

    Nothing when there is a pause that ``pauses`` does not have. Beside paused queues it is one round
    trip more, and one for each queue that has some of the first jobs; so it is for several queues while
    claims from the head are slow. ``position``: that of the caller in this selection.
    """
    if is_closed(selection, pauses):
        return []
    if is_merged(using, selection, pauses):
        jobs, _saw_all = _claim_by_queue(model, using, worker_id, limit, selection, pauses)
    elif selection.suspects or connections[using].vendor != "postgresql":
        jobs = _claim(model, using, worker_id, limit, selection, pauses)
    else:
        claim = functools.partial(_claim, model, using, worker_id, selection=selection, pauses=pauses)
        by_queue = functools.partial(
            _claim_by_queue, model, using, worker_id, selection=selection, pauses=pauses
        )
        jobs = _claim_from(position, limit, claim, by_queue if has_named_queues(using, selection) else None)
    worker = UUID(worker_id)
    for job in jobs:
        _mark_taken(job, worker)
    return jobs


def _claim_from(
    position: ClaimPosition,
    limit: int,
    claim: Callable[..., list[M]],
    claim_by_queue: Callable[..., tuple[list[M], bool]] | None,
) -> list[M]:
    """Claim behind the position where that is wise, and from the head what is not found there.

    A short claim means that nothing is ready, so that it has to have looked everywhere.
    """
    place, jobs, saw_all = position.place(), [], False
    if place is not None:
        started = time.monotonic()
        jobs = claim(limit=limit, place=place)
        position.claimed_from_place(jobs, time.monotonic() - started)
    if claim_by_queue is not None and len(jobs) < limit and position.is_head_slow():
        first, saw_all = claim_by_queue(limit=limit - len(jobs))
        position.claimed_by_queue(first)
        jobs = sorted(first + jobs, key=_claim_order)
    if saw_all or len(jobs) == limit:
        return jobs
    started = time.monotonic()
    first = claim(limit=limit - len(jobs))
    position.claimed_from_head(first, time.monotonic() - started)
    return first if not jobs else sorted(first + jobs, key=_claim_order)


def _claim(
    model: type[M],
    using: str,
    worker_id: str,
    limit: int,
    selection: JobSelection,
    pauses: Pauses,
    place: Place | None = None,
) -> list[M]:
    """Claim up to ``limit`` rows in claim order, those behind ``place`` alone where one is given."""
    if connections[using].vendor == "postgresql":
        statement = claim_statement(model, using, selection, limit, pauses, behind=place is not None)
        behind = () if place is None else (place.priority, place.run_after, place.id)
        if connections[using].in_atomic_block:
            # A failure is the caller's then, and so is how the transaction commits.
            with transaction.mark_for_rollback_on_error(using=using):
                jobs = statement.fetch(*behind, None, worker_id)
        elif place is None:
            jobs = fetch_prepared(statement, "off", worker_id)
        else:
            jobs = statement.fetch(*behind, "off", worker_id)
        # A join keeps no order, though it mostly comes out in that of the subquery.
        return sorted(jobs, key=_suspect_order if selection.suspects else _claim_order)
    with transaction.atomic(using=using):
        jobs = list(claimable_rows(model, using, selection, pauses)[:limit])
        _take(model, using, worker_id, jobs)
    for job in jobs:
        job.attempt += 1
    return jobs


def _claim_by_queue(
    model: type[M], using: str, worker_id: str, limit: int, selection: JobSelection, pauses: Pauses
) -> tuple[list[M], bool]:
    """Claim from the head of each open queue; return the jobs, and whether nothing else was ready."""
    jobs: list[M] = []
    for _round in range(MERGE_ROUNDS):
        first = first_ready(model, using, selection, limit - len(jobs), pauses)
        claimed: list[M] = []
        for queue_name, share in Counter(first).items():
            narrowed = dataclasses.replace(selection, queue_names=(queue_name,))
            claimed += _claim(model, using, worker_id, share, narrowed, pauses)
        jobs += claimed
        # Fewer than were seen: other workers have taken them, and there may be more behind.
        if len(claimed) == len(first):
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
