"""Limits on PostgreSQL: which gates are over their limit, who steps back from one, and who may go on.

What a gate counts are the RUNNING rows that are committed. A claim is committed before it is counted, so that of
two claims at least the later one sees both, and no lock is needed to keep a limit. Locks keep two processes from
both stepping back.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connections

from pleme_redis_django.jobs.definitions.uniqueness import PERIOD_PREFIX
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.flow_limit import FlowLimit, LimitKind
from pleme_redis_django.models.indexes import BLOCKED_CONDITION
from pleme_redis_django.orm_store.compiled_query import CompiledQuery, compile_query
from pleme_redis_django.orm_store.dialects.postgresql.flow_locks import run_locked
from pleme_redis_django.orm_store.dialects.postgresql.flow_waits import (
    gates_waited_at,
    somebody_waits,
    texts_waited_at,
)
from pleme_redis_django.orm_store.dialects.postgresql.prepared import planned_behind
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import condition_sql
from pleme_redis_django.orm_store.flow.gates import Gate
from pleme_redis_django.orm_store.flow.limits import MANY_KEYS, RELEASE_ROWS, Head, Keys, KnownLimit
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import number_array, uuid_array
from pleme_redis_django.orm_store.pauses import Pauses

__all__ = [
    "gates_over",
    "gates_waited_at",
    "heads_with_a_place",
    "keys_over",
    "park",
    "park_ready",
    "release",
    "somebody_waits",
    "texts_waited_at",
]

# What a RUNNING row has to have to count at a gate, by the shape of the gate. An equation for each: an OR of two
# would have the planner read every RUNNING row.
_COUNTS = {
    "key": "running.concurrency_key = gate.name AND running.product = gate.product",
    "shared key": "running.concurrency_key = gate.name",
    "type": "running.job_type = gate.name AND running.product = gate.product",
    "shared type": "running.job_type = gate.name",
    "queue": "running.queue_name = gate.name AND running.product = gate.product",
    "shared queue": "running.queue_name = gate.name",
    "product": "running.product = gate.product",
}
_TAKEN_SQL = """WHEN '{shape}' THEN (
  SELECT COALESCE(SUM(running.cost), 0) FROM {table} AS running WHERE running.status = 'RUNNING' AND {counts}
)"""
_HELD_SQL = """SELECT running.id, running.cost FROM {table} AS running
  WHERE gate.shape = '{shape}' AND running.status = 'RUNNING' AND {counts}"""
# The text of the gate of each shape at which a row may wait; NULL where it has no key.
_TEXTS = {
    "key": "'k:' || head.product || ':' || head.concurrency_key",
    "shared key": "'k::' || head.concurrency_key",
    "type": "'t:' || head.product || ':' || head.job_type",
    "shared type": "'t::' || head.job_type",
    "queue": "'q:' || head.product || ':' || head.queue_name",
    "shared queue": "'q::' || head.queue_name",
    "product": "'p:' || head.product",
}
_GATES = """unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
  AS gate(text, shape, product, name, limit_id)"""

# No claim waits for the disk. Where a limit counts, the claims have to be there before a job starts: one that a crash
# of the database server forgets would let another job start beside this one. The commit of this asking writes what
# was committed before it, since it has something of its own to write; once, as a condition without columns.
_ON_DISK = "(SELECT pg_logical_emit_message(true, 'pleme', '')) IS NOT NULL"

_OVER_SQL = """
SELECT gate.number, limits.id IS NULL
FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::bigint[])
  AS gate(number, shape, product, name, limit_id)
LEFT JOIN {limits} AS limits ON limits.id = gate.limit_id
WHERE {on_disk} AND (limits.id IS NULL OR limits.max_running < {taken})
"""
_OVER_AMONG_MANY_SQL = """
SELECT running.product, running.concurrency_key FROM {table} AS running
WHERE {on_disk} AND running.status = 'RUNNING' AND running.concurrency_key IS NOT NULL
GROUP BY 1, 2
HAVING SUM(running.cost) > (SELECT COALESCE(MIN(max_running), 0) FROM {limits} WHERE id = ANY(%s::bigint[]))
"""
# Statistics of a quiet moment know nothing of what runs now. In the order of its index a dead entry is read once;
# a bitmap of it would read all of them again at each claim. So the values change nothing, for which PostgreSQL would
# plan it anew at each claim.
_BY_INDEX = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; "
    "SET LOCAL plan_cache_mode = force_generic_plan"
)

# Others come first, and behind them the caller's own in claim order: those of them that are beyond the limit step
# back. One that was asked to end meanwhile ends.
_PARK_SQL = """
WITH mine AS MATERIALIZED (
  SELECT id, attempt, place FROM unnest(%s::uuid[], %s::int[]) WITH ORDINALITY AS mine(id, attempt, place)
), ranked AS MATERIALIZED (
  SELECT held.id, gate.text, mine.attempt, limits.max_running,
         SUM(held.cost) OVER (PARTITION BY gate.text ORDER BY mine.place NULLS FIRST ROWS UNBOUNDED PRECEDING) AS taken
  FROM {gates} JOIN {limits} AS limits ON limits.id = gate.limit_id
  CROSS JOIN LATERAL ({held}) AS held
  LEFT JOIN mine ON mine.id = held.id
)
UPDATE {table} AS job
SET status = CASE WHEN job.cancel_requested_at IS NULL THEN 'BLOCKED' ELSE 'CANCELLED' END,
    blocked_on = CASE WHEN job.cancel_requested_at IS NULL THEN ranked.text END,
    failed_at = CASE WHEN job.cancel_requested_at IS NULL THEN job.failed_at ELSE statement_timestamp() END,
    unique_slot = CASE WHEN job.cancel_requested_at IS NULL OR job.unique_slot LIKE '{period}%%'
                       THEN job.unique_slot END,
    claimed_at = NULL, updated_at = statement_timestamp()
FROM ranked, (SELECT set_config('synchronous_commit', 'off', true)) AS commit_mode
WHERE job.id = ranked.id AND ranked.attempt IS NOT NULL AND ranked.taken > ranked.max_running
  AND job.status = 'RUNNING' AND job.worker_id = %s AND job.attempt = ranked.attempt
RETURNING job.id
"""

# So that no claim meets again what stands at the head and cannot start.
_PARK_READY_SQL = """
WITH first AS MATERIALIZED ({ready}),
head AS MATERIALIZED (
  SELECT job.id, job.product, job.concurrency_key, job.job_type, job.queue_name
  FROM first JOIN {table} AS job ON job.id = first.id
), found AS MATERIALIZED (
  SELECT job.id, at.text
  FROM head CROSS JOIN LATERAL (VALUES {texts}) AS at(text) JOIN {table} AS job ON job.id = head.id
  WHERE at.text = ANY(%s::text[]) AND job.status = 'QUEUED' AND job.deleted_at IS NULL
  FOR UPDATE OF job SKIP LOCKED
)
UPDATE {table} AS job SET status = 'BLOCKED', blocked_on = %s || found.text, updated_at = statement_timestamp()
FROM found, (SELECT set_config('synchronous_commit', 'off', true)) AS commit_mode
WHERE job.id = found.id AND job.status = 'QUEUED'
"""

_HEADS_SQL = """
SELECT gate.text, head.id, free.places
FROM {gates} JOIN {limits} AS limits ON limits.id = gate.limit_id
CROSS JOIN LATERAL (
  SELECT job.id, job.cost FROM {table} AS job WHERE job.blocked_on = gate.text AND {blocked}
  ORDER BY job.priority DESC, job.run_after, job.id LIMIT 1
) AS head
CROSS JOIN LATERAL (SELECT limits.max_running - {taken} AS places OFFSET 0) AS free
WHERE head.cost <= free.places
"""

# A gate without a limit lets everybody go on; where there is only a rate, its tokens do.
_RELEASE_SQL = """
WITH open AS MATERIALIZED (
  SELECT gate.text, LEAST(gate.freed, CASE
           WHEN limits.id IS NULL THEN {rows}
           WHEN limits.max_running IS NOT NULL THEN limits.max_running - {taken}
           WHEN limits.rate IS NULL THEN {rows} ELSE 0 END) AS places,
         CASE WHEN limits.max_running IS NOT NULL THEN limits.max_running - {taken} END AS free
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::int[])
    AS gate(text, shape, product, name, limit_id, freed)
  LEFT JOIN {limits} AS limits ON limits.id = gate.limit_id
), first AS MATERIALIZED (
  SELECT weighed.id FROM open CROSS JOIN LATERAL (
    SELECT line.id, SUM(line.cost) OVER (ORDER BY line.priority DESC, line.run_after, line.id) AS taken
    FROM (
      SELECT id, cost, priority, run_after FROM {table} AS job
      WHERE job.blocked_on = open.text AND {blocked}
      ORDER BY job.priority DESC, job.run_after, job.id
      LIMIT GREATEST(LEAST(open.places, {rows}), 0) FOR UPDATE SKIP LOCKED
    ) AS line
  ) AS weighed
  WHERE open.free IS NULL OR weighed.taken <= open.free
)
UPDATE {table} AS job SET status = 'QUEUED', blocked_on = NULL, updated_at = statement_timestamp()
FROM (SELECT set_config('synchronous_commit', 'off', true)) AS commit_mode
WHERE job.id = ANY (ARRAY(SELECT first.id FROM first)) AND job.status = 'BLOCKED'
RETURNING job.queue_name
"""


def keys_over(table: JobTable[Any], limit_ids: Collection[int]) -> Keys:
    """Return the products and keys of which more run than the smallest of these limits says. One round trip.

    All of them where such a limit has gone. What was committed before is on disk then.
    """
    statement, ids = _over_many(table), number_array(sorted(limit_ids))
    # Not made anew where it was slow: mostly it has waited for the disk.
    planned = planned_behind(_BY_INDEX, statement, table.using, (ids,))
    return set(planned.fetchall() if planned else _fetch(table, str(statement.sql), [ids]))


def gates_over(
    table: JobTable[Any], limits: Mapping[Gate, KnownLimit], among: Keys | None = None
) -> tuple[list[Gate], bool]:
    """Return the gates at which more run than may, and whether a limit has gone meanwhile. One round trip mostly.

    ``among``: what ``keys_over`` has said. What was committed before is on disk then.
    """
    asked = list(limits)
    if among is None:
        # In words that ask no property of a gate: there is one for nearly every job of a claim.
        of_keys = [limit.id for gate, limit in limits.items() if gate.kind is LimitKind.KEY and gate.product]
        among = keys_over(table, set(of_keys)) if len(of_keys) > MANY_KEYS else None
    if among is not None:
        asked = [gate for gate in asked if gate.shape != "key" or (gate.product, gate.name) in among]
    if not asked:
        return [], False
    shapes = frozenset(gate.shape for gate in asked)
    columns = [list(range(len(asked))), *_columns(limits, asked)[1:]]
    found = _fetch(table, _over_sql(table, shapes, on_disk=among is not None), columns)
    return [asked[number] for number, is_gone in found if not is_gone], any(is_gone for _, is_gone in found)


def park(
    table: JobTable[Any], limits: Mapping[Gate, KnownLimit], worker_id: str, mine: Sequence[tuple[UUID, int]]
) -> set[UUID]:
    """Have those of the caller's claims that are beyond a limit wait at its gate; return which. One round trip."""
    gates = list(limits)
    columns = _columns(limits, gates)
    ids, attempts = uuid_array(job_id for job_id, _ in mine), [attempt for _, attempt in mine]
    sql = _park_sql(table, frozenset(gate.shape for gate in gates))
    found = run_locked(table.using, columns[0], sql, [ids, attempts, *columns, worker_id])
    return {job_id for (job_id,) in found}


def park_ready(
    table: JobTable[Any],
    gates: Sequence[Gate],
    selection: JobSelection,
    pauses: Pauses,
    limit: int,
    prefix: str,
) -> int:
    """Have those of the first ready rows of a selection that count at these gates wait there; return how many.

    ``prefix``: before the gate's text in the row, "" of those that wait for a place.
    """
    query = _park_ready(table, selection, pauses, limit, frozenset(gate.shape for gate in gates))
    if query.sql is None:
        return 0
    with connections[table.using].cursor() as cursor:
        cursor.execute(query.sql, [*query.parameters, [gate.text for gate in gates], prefix])
        return int(cursor.rowcount)


def heads_with_a_place(table: JobTable[Any], limits: Mapping[Gate, KnownLimit]) -> dict[Gate, Head]:
    gates = {gate.text: gate for gate in limits}
    if not gates:
        return {}
    sql = _heads_sql(table, frozenset(gate.shape for gate in limits))
    found = _fetch(table, sql, _columns(limits, list(limits)))
    return {gates[text]: Head(job_id, places) for text, job_id, places in found}


def release(
    table: JobTable[Any], limits: Mapping[Gate, KnownLimit | None], freed: Mapping[Gate, int]
) -> list[str]:
    gates = list(freed)
    columns = _columns(limits, gates)
    sql = _release_sql(table, frozenset(gate.shape for gate in gates))
    found = _fetch(table, sql, [*columns, [min(freed[gate], RELEASE_ROWS) for gate in gates]])
    return [queue_name for (queue_name,) in found]


def _columns(limits: Mapping[Gate, KnownLimit | None], gates: Sequence[Gate]) -> list[list[Any]]:
    ids = [None if (limit := limits.get(gate)) is None else limit.id for gate in gates]
    return [
        [gate.text for gate in gates],
        [gate.shape for gate in gates],
        [gate.product for gate in gates],
        [gate.name for gate in gates],
        ids,
    ]


def _fetch(table: JobTable[Any], sql: str, parameters: Sequence[Any]) -> list[Any]:
    with connections[table.using].cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def _limits_name(table: JobTable[Any]) -> str:
    return connections[table.using].ops.quote_name(FlowLimit._meta.db_table)


def _taken_sql(table: JobTable[Any], shapes: frozenset[str]) -> str:
    """Return how many places of a gate are taken, as an expression."""
    cases = " ".join(
        _TAKEN_SQL.format(shape=shape, table=table.sql_name, counts=_COUNTS[shape])
        for shape in sorted(shapes)
    )
    return f"CASE gate.shape {cases} END"


def _held_sql(table: JobTable[Any], shapes: frozenset[str]) -> str:
    return " UNION ALL ".join(
        _HELD_SQL.format(shape=shape, table=table.sql_name, counts=_COUNTS[shape]) for shape in sorted(shapes)
    )


def _blocked_sql(table: JobTable[Any]) -> str:
    return condition_sql(table.model, table.using, BLOCKED_CONDITION)


@functools.lru_cache(maxsize=256)
def _over_sql(table: JobTable[Any], shapes: frozenset[str], *, on_disk: bool) -> str:
    return _OVER_SQL.format(
        limits=_limits_name(table),
        taken=_taken_sql(table, shapes),
        on_disk="true" if on_disk else _ON_DISK,
    )


@functools.lru_cache(maxsize=16)
def _over_many(table: JobTable[Any]) -> CompiledQuery[Any]:
    sql = _OVER_AMONG_MANY_SQL.format(table=table.sql_name, limits=_limits_name(table), on_disk=_ON_DISK)
    return CompiledQuery(model=table.model, using=table.using, sql=sql)


@functools.lru_cache(maxsize=256)
def _park_sql(table: JobTable[Any], shapes: frozenset[str]) -> str:
    return _PARK_SQL.format(
        table=table.sql_name,
        limits=_limits_name(table),
        gates=_GATES,
        held=_held_sql(table, shapes),
        period=PERIOD_PREFIX,
    )


@functools.lru_cache(maxsize=256)
def _park_ready(
    table: JobTable[Any], selection: JobSelection, pauses: Pauses, limit: int, shapes: frozenset[str]
) -> CompiledQuery[Any]:
    ready = compile_query(table.ready(selection, pauses).values_list("id")[:limit], table.using)
    if ready.sql is None:
        return ready
    texts = ", ".join(f"({_TEXTS[shape]})" for shape in sorted(shapes))
    sql = _PARK_READY_SQL.format(ready=ready.sql, table=table.sql_name, texts=texts)
    return CompiledQuery(model=table.model, using=table.using, sql=sql, parameters=ready.parameters)


@functools.lru_cache(maxsize=256)
def _heads_sql(table: JobTable[Any], shapes: frozenset[str]) -> str:
    return _HEADS_SQL.format(
        table=table.sql_name,
        limits=_limits_name(table),
        gates=_GATES,
        taken=_taken_sql(table, shapes),
        blocked=_blocked_sql(table),
    )


@functools.lru_cache(maxsize=256)
def _release_sql(table: JobTable[Any], shapes: frozenset[str]) -> str:
    return _RELEASE_SQL.format(
        table=table.sql_name,
        limits=_limits_name(table),
        taken=_taken_sql(table, shapes),
        blocked=_blocked_sql(table),
        rows=RELEASE_ROWS,
    )
