"""The dialects by the vendor of the database, as the app binds them, and which statements are PostgreSQL's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.db.models import QuerySet

from pleme_redis_django.exceptions import StoreError
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.fair_shares import Share, Strand
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.claim_position import ClaimedUpTo
from pleme_redis_django.orm_store.claim_request import ClaimRequest
from pleme_redis_django.orm_store.dialects.dialect import Dialect, LimitStatements
from pleme_redis_django.orm_store.dialects.portable import PortableDialect
from pleme_redis_django.orm_store.dialects.postgresql import flow_limits, flow_tokens
from pleme_redis_django.orm_store.dialects.postgresql.claims import claim
from pleme_redis_django.orm_store.dialects.postgresql.completion import complete
from pleme_redis_django.orm_store.dialects.postgresql.fair_claim import claim_shares
from pleme_redis_django.orm_store.dialects.postgresql.flow_lines import let_next, open_lines
from pleme_redis_django.orm_store.dialects.postgresql.insertion import insert
from pleme_redis_django.orm_store.dialects.postgresql.lock_holders import locked_jobs
from pleme_redis_django.orm_store.dialects.postgresql.oldest_snapshot import oldest_snapshot
from pleme_redis_django.orm_store.dialects.postgresql.ready_jobs import is_ready
from pleme_redis_django.orm_store.dialects.postgresql.ready_strands import ready_strands
from pleme_redis_django.orm_store.dialects.postgresql.refusals import refusal
from pleme_redis_django.orm_store.dialects.postgresql.shared_locks import kept_waiting
from pleme_redis_django.orm_store.dialects.postgresql.table_storage import table_storage
from pleme_redis_django.orm_store.dialects.postgresql.together import update_rows
from pleme_redis_django.orm_store.flow.lines import Line
from pleme_redis_django.orm_store.flow.tokens import LetThrough, Parking, TokenGate
from pleme_redis_django.orm_store.horizon import Horizon
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.new_rows import NewRow, RowTemplate
from pleme_redis_django.orm_store.pauses import Pauses
from pleme_redis_django.orm_store.row_update import RowUpdate
from pleme_redis_django.orm_store.table_storage import OldestSnapshot, TableStorage


class PostgresqlDialect:
    """The Dialect of PostgreSQL."""

    limits: LimitStatements = flow_limits

    def claim(self, table: JobTable[M], request: ClaimRequest) -> list[M]:
        return claim(table, request)

    def claim_shares(
        self,
        table: JobTable[M],
        request: ClaimRequest,
        shares: Sequence[Share],
        places: Sequence[ClaimedUpTo] = (),
    ) -> list[M]:
        return claim_shares(table, request, shares, places)

    def ready_strands(self, table: JobTable[Any], selection: JobSelection, pauses: Pauses) -> list[Strand]:
        return ready_strands(table, selection, pauses)

    def is_ready(
        self, table: JobTable[Any], selection: JobSelection, pauses: Pauses, horizon: Horizon
    ) -> bool:
        return is_ready(table, selection, pauses, horizon)

    def complete(self, table: JobTable[Any], endings: Sequence[Completed], bounds: str | None) -> list[bool]:
        return complete(table, endings, bounds)

    def update_rows(self, using: str, updates: Sequence[RowUpdate]) -> list[bool]:
        return update_rows(using, updates)

    def refusal(
        self, table: JobTable[Any], error: DatabaseError, job_ids: Sequence[UUID], *, bounded: bool
    ) -> StoreError | None:
        return refusal(table, error, job_ids, bounded=bounded)

    def locked_jobs(self, table: JobTable[Any], job_ids: Sequence[UUID]) -> set[UUID]:
        return locked_jobs(table, job_ids)

    def insert(self, table: JobTable[Any], template: RowTemplate, rows: Sequence[NewRow]) -> set[UUID]:
        return insert(table, template, rows)

    def kept_waiting(self, jobs: QuerySet[M]) -> list[M]:
        return kept_waiting(jobs)

    def let_next(self, table: JobTable[Any], lines: Collection[Line]) -> list[str]:
        return let_next(table, lines)

    def open_lines(self, table: JobTable[Any]) -> list[Line]:
        return open_lines(table)

    def take_tokens(self, table: JobTable[Any], wanted: Mapping[TokenGate, int]) -> dict[TokenGate, int]:
        return flow_tokens.take_tokens(table, wanted)

    def give_tokens_back(self, table: JobTable[Any], counts: Mapping[TokenGate, int]) -> None:
        flow_tokens.give_tokens_back(table, counts)

    def park_for_tokens(self, table: JobTable[Any], worker_id: str, parkings: Sequence[Parking]) -> int:
        return flow_tokens.park_for_tokens(table, worker_id, parkings)

    def let_through(self, table: JobTable[Any], limit: int) -> LetThrough:
        return flow_tokens.let_through(table, limit)

    def wake_forgotten_tokens(self, table: JobTable[Any]) -> int:
        return flow_tokens.wake_forgotten_tokens(table)

    def storage(self, table: JobTable[Any]) -> TableStorage | None:
        return table_storage(table)

    def oldest_snapshot(self, using: str) -> OldestSnapshot | None:
        return oldest_snapshot(using)


DIALECTS: Mapping[str, Dialect] = {"postgresql": PostgresqlDialect()}
PORTABLE: Dialect = PortableDialect()
