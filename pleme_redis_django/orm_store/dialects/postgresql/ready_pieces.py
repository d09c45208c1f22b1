"""Ready pieces: some rows of the index in claim order, and which of them a worker may take; no row is locked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connections

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.claim_position import ClaimedUpTo
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import narrowed_sql, ready_sql
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.long_look import PIECE_ROWS, Piece
from pleme_redis_django.orm_store.pauses import Pauses

# What is left of the priority of the place, and then the lower ones: only so does the index find the place itself.
_PIECE = """
WITH piece AS MATERIALIZED (
  (SELECT priority, run_after, id, (TRUE {mine}) AS is_mine FROM {table}
   WHERE {ready} {of_queue} AND priority = %(priority)s AND (run_after, id) > (%(run_after)s, %(id)s)
   ORDER BY run_after, id LIMIT %(rows)s)
  UNION ALL
  (SELECT priority, run_after, id, (TRUE {mine}) FROM {table}
   WHERE {ready} {of_queue} AND priority < %(priority)s
   ORDER BY priority DESC, run_after, id LIMIT %(rows)s)
  LIMIT %(rows)s
), last AS (
  SELECT priority, run_after, id FROM piece ORDER BY priority, run_after DESC, id DESC LIMIT 1
)
SELECT statement_timestamp(), (SELECT count(*) FROM piece), last.priority, last.run_after, last.id,
       ARRAY(SELECT id FROM piece WHERE is_mine ORDER BY priority DESC, run_after, id)
FROM (SELECT) AS one LEFT JOIN last ON TRUE
"""
# Before all: no job has such a priority.
_HEAD = ClaimedUpTo(2**31 - 1, datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))


def read_piece(
    table: JobTable[M], selection: JobSelection, pauses: Pauses, behind: ClaimedUpTo | None
) -> Piece:
    """Return the jobs of a selection among the next ready rows, those behind ``behind`` or (None) the first ones.

    All of its queues, or its only one, are in the order of one index.
    """
    start = behind or _HEAD
    parameters: dict[str, Any] = {"priority": start.priority, "run_after": start.run_after, "id": start.id}
    sql = _PIECE.format(
        table=table.sql_name,
        ready=ready_sql(table.model, table.using),
        mine=narrowed_sql(table.model, table.using, selection, pauses),
        of_queue="" if selection.queue_names is None else "AND queue_name = %(queue)s",
    )
    with connections[table.using].cursor() as cursor:
        queue = (selection.queue_names or ("",))[0]
        cursor.execute(sql, parameters | {"rows": PIECE_ROWS, "queue": queue})
        asked_at, rows, *last, ids = cursor.fetchone()
    more = ClaimedUpTo(*last) if rows == PIECE_ROWS else None
    return Piece(asked_at=asked_at, ids=tuple(ids), last=more)
