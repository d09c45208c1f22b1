"""The Dialect of every database but PostgreSQL, which is this module: only the ORM, for SQLite.

There one transaction writes at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import UUID

from django.db import DatabaseError, DataError, IntegrityError, transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Now

from pleme_redis_django.exceptions import BadEnding, StoreError
from pleme_redis_django.jobs.definitions.uniqueness import waits_only
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.fair_shares import Share, Strand
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.claim_position import ClaimedUpTo
from pleme_redis_django.orm_store.claim_request import ClaimRequest
from pleme_redis_django.orm_store.dialects import portable_limits
from pleme_redis_django.orm_store.dialects.dialect import LimitStatements
from pleme_redis_django.orm_store.dialects.portable_lines import let_next as let_next
from pleme_redis_django.orm_store.dialects.portable_lines import open_lines as open_lines
from pleme_redis_django.orm_store.dialects.portable_tokens import add_token_gates as add_token_gates
from pleme_redis_django.orm_store.dialects.portable_tokens import give_tokens_back as give_tokens_back
from pleme_redis_django.orm_store.dialects.portable_tokens import let_through as let_through
from pleme_redis_django.orm_store.dialects.portable_tokens import park_for_tokens as park_for_tokens
from pleme_redis_django.orm_store.dialects.portable_tokens import take_tokens as take_tokens
from pleme_redis_django.orm_store.dialects.portable_tokens import (
    wake_forgotten_tokens as wake_forgotten_tokens,
)
from pleme_redis_django.orm_store.ending_changes import ending_update
from pleme_redis_django.orm_store.fairness.index import FOR_FAIR_CLAIMS
from pleme_redis_django.orm_store.fairness.turn_order import in_turn_order, turn_order
from pleme_redis_django.orm_store.horizon import Horizon
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.lookups import any_of
from pleme_redis_django.orm_store.new_rows import NewRow, RowTemplate, fields_of
from pleme_redis_django.orm_store.pauses import Pauses
from pleme_redis_django.orm_store.row_update import RowUpdate
from pleme_redis_django.orm_store.table_storage import OldestSnapshot, TableStorage

limits: LimitStatements = portable_limits


def claim(table: JobTable[M], request: ClaimRequest) -> list[M]:
    with transaction.atomic(using=table.using):
        jobs = list(
            table.claimable(request.selection, request.pauses, is_limited=request.is_limited)[: request.limit]
        )
        _take(table, request, jobs)
    for job in jobs:
        job.attempt += 1
    return jobs


def claim_shares(
    table: JobTable[M],
    request: ClaimRequest,
    shares: Sequence[Share],
    positions: Sequence[ClaimedUpTo] = (),
) -> list[M]:
    jobs: list[M] = []
    with transaction.atomic(using=table.using):
        claimable = table.claimable(request.selection, request.pauses, is_limited=request.is_limited)
        ready = in_turn_order(claimable, request.selection)
        for share in shares:
            of_strand = ready.filter(_of_strand(share.strand))
            jobs += of_strand[: min(share.jobs, request.limit - len(jobs))]
        _take(table, request, jobs)
    for job in jobs:
        job.attempt += 1
    return sorted(jobs, key=turn_order(request.selection))


def ready_strands(
    table: JobTable[Any],
    selection: JobSelection,
    pauses: Pauses,
    after: str | None = None,
    until: str | None = None,
) -> tuple[list[Strand], str | None]:
    ready = table.ready(selection, pauses).filter(FOR_FAIR_CLAIMS).order_by()
    if after is not None:
        ready = ready.filter(product__gt=after)
    if until is not None:
        ready = ready.filter(product__lte=until)
    if selection.queue_names is None:
        return [Strand(product) for product in ready.values_list("product", flat=True).distinct()], None
    return [Strand(*names) for names in ready.values_list("product", "queue_name").distinct()], None


def is_ready(table: JobTable[Any], selection: JobSelection, pauses: Pauses, horizon: Horizon) -> bool:
    return table.ready(selection, pauses).exists()


def complete(table: JobTable[Any], endings: Sequence[Completed], bounds: str | None) -> list[bool]:
    return [ending_update(table, ending).run() for ending in endings]


def prepared_updates(using: str, updates: Sequence[RowUpdate]) -> Callable[[], list[bool]]:
    def run() -> list[bool]:
        with transaction.atomic(using=using, savepoint=False):
            return [update.run() for update in updates]

    return run


def refusal(
    table: JobTable[Any], error: DatabaseError, job_ids: Sequence[UUID], *, bounded: bool
) -> StoreError | None:
    return BadEnding(str(error)) if isinstance(error, DataError | IntegrityError) else None


def locked_jobs(table: JobTable[Any], job_ids: Sequence[UUID]) -> set[UUID]:
    return set()


def insert(table: JobTable[Any], template: RowTemplate, rows: Sequence[NewRow]) -> set[UUID]:
    stored = table.rows()
    new = [table.model(**fields_of(template, row)) for row in rows]
    stored.bulk_create(new, ignore_conflicts=template.uniqueness is not None)
    return set(stored.filter(id__in=[row.id for row in rows]).values_list("id", flat=True))


def kept_waiting(jobs: QuerySet[M], slots: Collection[str], *, to_change: bool) -> list[M]:
    return list(jobs)  # Who has written has the whole database, and no claim comes between.


def storage(table: JobTable[Any]) -> TableStorage | None:
    return None


def oldest_snapshot(using: str) -> OldestSnapshot | None:
    return None


def _of_strand(strand: Strand) -> Q:
    condition = FOR_FAIR_CLAIMS & Q(product=strand.product)
    return condition if strand.queue_name is None else condition & Q(queue_name=strand.queue_name)


def _take(table: JobTable[M], request: ClaimRequest, jobs: Sequence[M]) -> None:
    table.rows().filter(any_of("id", [job.id for job in jobs])).update(
        status=JobStatus.RUNNING,
        worker_id=request.worker_id,
        attempt=F("attempt") + 1,
        claimed_at=Now(),
        started_at=Value(None),
        updated_at=Now(),
    )
    if request.keeps_slots:
        return
    free = [job.id for job in jobs if waits_only(job.unique_slot)]
    table.rows().filter(any_of("id", free)).update(unique_slot=None)
