"""The claim of shares on PostgreSQL: one statement, which reads each strand at its own place in the fair index."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from django.db import connections, transaction
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from pleme_redis_django.jobs.interface.fair_shares import Share
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.claim_position import ClaimedUpTo
from pleme_redis_django.orm_store.claim_request import ClaimRequest
from pleme_redis_django.orm_store.compiled_query import CompiledQuery, compile_query
from pleme_redis_django.orm_store.dialects.postgresql.claim_statement import COMMIT_MODE, claiming_sql
from pleme_redis_django.orm_store.dialects.postgresql.prepared import fetch_prepared
from pleme_redis_django.orm_store.dialects.postgresql.ready_strands import IN_INDEX_ORDER
from pleme_redis_django.orm_store.fairness.index import FOR_FAIR_CLAIMS
from pleme_redis_django.orm_store.fairness.turn_order import in_turn_order, turn_order
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.lookups import number_array, text_array, uuid_array
from pleme_redis_django.orm_store.pauses import Pauses

# Said so, the order of a strand is one that the fair index alone has. Said as plain equations, a planner whose
# statistics know the backlog of one product alone reads all of it in claim order for another one's. A range is
# enough where nothing behind it is compared; before PostgreSQL 17, an array in the second column loses the order.
_OF_PRODUCT = "product = ANY (ARRAY[share.product])"
_OF_QUEUE = (
    "queue_name >= share.queue_name AND queue_name <= share.queue_name "
    "AND product >= share.product AND product <= share.product"
)
# The ORM compares no rows. Only so does the index find the position itself: those before it are not read.
_BEHIND = "priority = share.priority AND (run_after, id) > (share.run_after, share.job_id)"

# The shares come out in their order, so that the LIMIT cuts off the last ones, whose rows are
# then not locked either.
_READY_SQL = """
SELECT strand.id FROM unnest({arrays}) AS share ({names})
CROSS JOIN LATERAL ({strand} LIMIT share.jobs FOR UPDATE SKIP LOCKED) AS strand LIMIT %s
"""
_SHARE = {"product": "text", "queue_name": "text", "jobs": "int"}
_POSITION = {"priority": "int", "run_after": "timestamptz", "job_id": "uuid"}


def claim_shares(
    table: JobTable[M], request: ClaimRequest, shares: Sequence[Share], positions: Sequence[ClaimedUpTo] = ()
) -> list[M]:
    """Claim up to its share of each strand; return the jobs in claim order. One round trip.

    ``positions``: one for each share, which starts behind it; none are given for the heads of the strands.
    """
    statement = _statement(
        table,
        request.selection,
        request.pauses,
        behind=bool(positions),
        is_limited=request.is_limited,
        keeps_slots=request.keeps_slots,
    )
    dealt = (*_columns(shares, positions), request.limit)
    if connections[table.using].in_atomic_block:
        # A failure is the caller's then, and so is how the transaction commits.
        with transaction.mark_for_rollback_on_error(using=table.using):
            jobs = statement.fetch(*dealt, None, request.worker_id)
    else:
        values = (*dealt, COMMIT_MODE, request.worker_id)
        jobs = fetch_prepared(statement, *values, varying=len(values), before=IN_INDEX_ORDER)
    return sorted(jobs, key=turn_order(request.selection))


def _columns(shares: Sequence[Share], positions: Sequence[ClaimedUpTo]) -> list[Any]:
    """Return the arrays of the statement."""
    queue_names = [share.strand.queue_name for share in shares]
    columns: list[Any] = [
        text_array([share.strand.product for share in shares]),
        queue_names if None in queue_names else text_array(map(str, queue_names)),
        number_array([share.jobs for share in shares]),
    ]
    if positions:
        columns += [
            number_array([position.priority for position in positions]),
            [position.run_after for position in positions],
            uuid_array([position.id for position in positions]),
        ]
    return columns


@functools.lru_cache(maxsize=64)
def _statement(
    table: JobTable[M],
    selection: JobSelection,
    pauses: Pauses,
    *,
    behind: bool,
    is_limited: bool,
    keeps_slots: bool,
) -> CompiledQuery[M]:
    """Return the statement, compiled once; its parameters are those of ``fetch``.

    They are the products, queue names, sizes and positions of the shares, the limit of all of them, the
    ``synchronous_commit`` of the transaction (None: as it is) and the worker's id.
    """
    rows = table.claimable(dataclasses.replace(selection, queue_names=None), pauses, is_limited=is_limited)
    loaded = compile_query(rows, table.using, times_as_text=True)
    of_strand = _of_strand(rows, selection, behind=behind)
    strand = compile_query(of_strand.values_list("id"), table.using)
    if strand.sql is None:
        return dataclasses.replace(loaded, sql=None)
    connection: Any = connections[table.using]
    connection.ensure_connection()
    # With its values in it, because parameters of the statement stand before it.
    strand_sql = str(connection.ops.compose_sql(strand.sql, strand.parameters)).replace("%", "%%")
    columns = _SHARE | (_POSITION if behind else {})
    ready = _READY_SQL.format(
        arrays=", ".join(f"%s::{kind}[]" for kind in columns.values()),
        names=", ".join(columns),
        strand=strand_sql,
    )
    sql = claiming_sql(table, ready, loaded, keeps_slots=keeps_slots)
    return dataclasses.replace(loaded, sql=sql, parameters=())


def _of_strand(rows: QuerySet[M], selection: JobSelection, *, behind: bool) -> QuerySet[M]:
    by_queue = selection.queue_names is not None
    condition = _OF_QUEUE if by_queue else _OF_PRODUCT
    if behind:
        condition = f"{condition} AND {_BEHIND}"
    rows = rows.filter(FOR_FAIR_CLAIMS, RawSQL(condition, (), output_field=BooleanField()))  # noqa: S611 - a constant
    order = ("queue_name", "product") if by_queue else ("product",)
    return in_turn_order(rows, selection, *order)
