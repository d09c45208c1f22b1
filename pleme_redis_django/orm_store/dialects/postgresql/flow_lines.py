"""Turns on PostgreSQL: who comes next in lines of strict order, and the lines that nobody looks after."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any

from django.db import DatabaseError, IntegrityError, connections

from pleme_redis_django.models.indexes import BLOCKED_CONDITION, LINE_PREFIX, TURN_CONDITION
from pleme_redis_django.orm_store.connection import sqlstate_of
from pleme_redis_django.orm_store.dialects.postgresql.flow_locks import run_locked
from pleme_redis_django.orm_store.dialects.postgresql.flow_waits import EVERY_GATE_SQL
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import condition_sql
from pleme_redis_django.orm_store.flow.lines import Line
from pleme_redis_django.orm_store.job_table import JobTable

TRIES = 3
# serialization_failure and deadlock_detected: the same transaction may succeed when it is run again.
_START_AGAIN = ("40001", "40P01")

# The first of a line is chosen without its lock: ORDER BY ... LIMIT 1 FOR UPDATE would take the second where
# the first is held. One that somebody holds is left: an operation looks at the line after its commit, and
# behind another transaction, or one that is rolled back, the sweep does. As an array, since the planner may go through
# the whole table to join it with a few ids. Not waited for on disk: a turn that a crash of the server forgets is given
# again by the sweep.
_NEXT_SQL = """
WITH first AS MATERIALIZED (
  SELECT head.id FROM unnest(%s::text[], %s::text[], %s::text[]) AS line(gate, product, order_key)
  CROSS JOIN LATERAL (
    SELECT id FROM {table} AS job
    WHERE job.blocked_on = line.gate AND {blocked} AND job.run_after <= statement_timestamp()
    ORDER BY job.priority DESC, job.run_after, job.id LIMIT 1
  ) AS head
  WHERE {no_turn}
), free AS MATERIALIZED (
  SELECT job.id FROM {table} AS job
  WHERE job.id = ANY (ARRAY(SELECT first.id FROM first)) AND job.status = 'BLOCKED' AND job.deleted_at IS NULL
    AND job.blocked_on LIKE '{prefix}%%'
  FOR UPDATE OF job SKIP LOCKED
)
UPDATE {table} AS job SET status = 'QUEUED', blocked_on = NULL, updated_at = statement_timestamp()
FROM (SELECT set_config('synchronous_commit', 'off', true)) AS commit_mode
WHERE job.id = ANY (ARRAY(SELECT free.id FROM free))
RETURNING job.queue_name
"""
_NO_TURN = """NOT EXISTS (
    SELECT 1 FROM {table} WHERE {turn} AND product = line.product AND order_key = line.order_key
  )"""

_OPEN_LINES_SQL = """{every_gate}SELECT line.product, line.order_key FROM gates CROSS JOIN LATERAL (
  SELECT product, order_key FROM {table} AS job
  WHERE job.blocked_on = gates.gate AND {blocked} AND job.run_after <= statement_timestamp() LIMIT 1
) AS line
WHERE gates.gate LIKE '{prefix}%%' AND line.order_key IS NOT NULL AND {no_turn}
"""


def let_next(table: JobTable[Any], lines: Collection[Line]) -> list[str]:
    """Give the first of each line its turn where nobody has it; return their queue names. One round trip."""
    if not lines:
        return []
    wanted = sorted(lines)
    inside = connections[table.using].in_atomic_block
    for _try in range(TRIES - 1):
        try:
            return _let_next(table, wanted)
        except DatabaseError as error:
            # Inside a caller's transaction nothing can be tried again, and a turn that was taken by hand
            # meanwhile shows only to a new snapshot.
            if inside or not (isinstance(error, IntegrityError) or sqlstate_of(error) in _START_AGAIN):
                raise
    return _let_next(table, wanted)


def _let_next(table: JobTable[Any], lines: Sequence[Line]) -> list[str]:
    gates = [line.gate for line in lines]
    arrays = [gates, [line.product for line in lines], [line.order_key for line in lines]]
    found = run_locked(table.using, gates, next_sql(table), arrays)
    return [queue_name for (queue_name,) in found]


def open_lines(table: JobTable[Any]) -> list[Line]:
    """Return the lines in which somebody waits and nobody has its turn; 10 ms for a thousand lines."""
    with connections[table.using].cursor() as cursor:
        cursor.execute(_open_lines_sql(table), [])
        return [Line(product, order_key) for product, order_key in cursor.fetchall()]


@functools.lru_cache(maxsize=64)
def next_sql(table: JobTable[Any]) -> str:
    """Return the statement of ``let_next``."""
    return _NEXT_SQL.format(prefix=LINE_PREFIX, **_parts(table))


@functools.lru_cache(maxsize=64)
def _open_lines_sql(table: JobTable[Any]) -> str:
    parts = _parts(table)
    return _OPEN_LINES_SQL.format(prefix=LINE_PREFIX, every_gate=EVERY_GATE_SQL.format(**parts), **parts)


def _parts(table: JobTable[Any]) -> dict[str, str]:
    name = table.sql_name
    # In the words of the partial indexes, which answer nothing else.
    turn = condition_sql(table.model, table.using, TURN_CONDITION).replace("%", "%%")
    return {
        "table": name,
        "blocked": condition_sql(table.model, table.using, BLOCKED_CONDITION),
        "no_turn": _NO_TURN.format(table=name, turn=turn),
    }
