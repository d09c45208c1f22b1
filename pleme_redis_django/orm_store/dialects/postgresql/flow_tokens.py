"""Tokens on PostgreSQL: taken, given back and waited for, each in one statement about the row of a gate.

All that is known of a bucket is in that row, so that READ COMMITTED, which looks at it again after a wait for its
lock, makes it exact. Written in the terms of ``TokenBucket``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections, transaction

from pleme_redis_django.jobs.definitions.uniqueness import PERIOD_PREFIX
from pleme_redis_django.jobs.interface.token_bucket import LET_SECONDS
from pleme_redis_django.models.flow_limit import FlowGate, FlowLimit
from pleme_redis_django.models.indexes import BLOCKED_CONDITION
from pleme_redis_django.models.job import model_label
from pleme_redis_django.orm_store.compiled_query import CompiledQuery
from pleme_redis_django.orm_store.dialects.postgresql.prepared import rows_prepared
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import condition_sql
from pleme_redis_django.orm_store.flow.gates import TOKEN_PREFIX, TokenGate
from pleme_redis_django.orm_store.flow.tokens import (
    BURST_SHARE,
    HELD_SECONDS,
    LET_ROWS,
    LOOK_SECONDS,
    LetThrough,
    Parking,
    TakenTokens,
)
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import number_array, text_array, uuid_array

# How many tokens are not back. When the rate has changed since, they are those of the old one. EXTRACT would reckon in
# numerics, at twice the price of the update.
_USED = """(GREATEST(date_part('epoch', gate.full_again_at - statement_timestamp()), 0)
      / COALESCE(gate.spacing_seconds, asked.every))"""
_FREE = f"""CASE WHEN asked.rate IS NULL THEN 2147483647 WHEN asked.every IS NULL THEN 0
      ELSE GREATEST(FLOOR(asked.burst - {_USED}), 0)::int END"""
_GRANTED = f"LEAST(asked.count, {_FREE})"
# Up to whole microseconds, which is all that a time stamp holds: rounded down, a rate would be passed in the end.
_SECONDS = "make_interval(secs => CEIL(({tokens}) * asked.every * 1e6) / 1e6)"
_TAKE_SQL = """
UPDATE {gates} AS gate
SET granted = {granted},
    full_again_at = CASE
      WHEN asked.every IS NULL OR {granted} = 0 THEN gate.full_again_at
      WHEN gate.spacing_seconds <> asked.every THEN statement_timestamp() + {seconds_of_all}
      ELSE GREATEST(gate.full_again_at, statement_timestamp()) + {seconds_of_granted}
    END,
    spacing_seconds = CASE
      WHEN asked.every IS NULL OR {granted} = 0 THEN gate.spacing_seconds ELSE asked.every
    END,
    let_through = GREATEST(gate.let_through - {granted}, 0)
FROM (
  SELECT wanted.gate, wanted.count, rule.id, rule.rate, rule.burst,
         rule.per_seconds / NULLIF(rule.rate, 0) AS every
  FROM unnest(%s::text[], %s::bigint[], %s::int[]) AS wanted(gate, limit_id, count)
  JOIN {limits} AS rule ON rule.id = wanted.limit_id ORDER BY wanted.gate COLLATE "C", rule.id
) AS asked
WHERE gate.gate = asked.gate AND gate.limit_id = asked.id
RETURNING gate.gate, gate.limit_id, gate.granted, date_part('epoch', gate.full_again_at)
"""
_TAKE_PARTS = {
    "granted": _GRANTED,
    "seconds_of_all": _SECONDS.format(tokens=f"{_USED} + {_GRANTED}"),
    "seconds_of_granted": _SECONDS.format(tokens=_GRANTED),
}
_ADD_SQL = """
INSERT INTO {gates} (gate, limit_id)
SELECT asked.gate, rule.id FROM unnest(%s::text[], %s::bigint[]) AS asked(gate, limit_id)
JOIN {limits} AS rule ON rule.id = asked.limit_id
ON CONFLICT DO NOTHING
"""
# By the clock of the moment in which the row is changed, since the statement may have waited for it.
_GIVE_BACK_SQL = """
UPDATE {gates} AS gate
SET full_again_at = gate.full_again_at - make_interval(secs => FLOOR(1e6 * GREATEST(0, LEAST(
    back.count * gate.spacing_seconds, back.full_again - date_part('epoch', clock_timestamp()) - 1e-6))) / 1e6)
FROM unnest(%s::text[], %s::bigint[], %s::int[], %s::float8[]) AS back(gate, limit_id, count, full_again)
WHERE gate.gate = back.gate AND gate.limit_id = back.limit_id AND gate.spacing_seconds IS NOT NULL
"""

_PARK_SQL = """
UPDATE {table} AS job
SET status = CASE WHEN job.cancel_requested_at IS NULL THEN 'BLOCKED' ELSE 'CANCELLED' END,
    blocked_on = CASE WHEN job.cancel_requested_at IS NULL THEN mine.gate END,
    failed_at = CASE WHEN job.cancel_requested_at IS NULL THEN job.failed_at ELSE statement_timestamp() END,
    unique_slot = CASE WHEN job.cancel_requested_at IS NULL OR job.unique_slot LIKE '{period}%%'
                       THEN job.unique_slot END,
    claimed_at = NULL, updated_at = statement_timestamp()
FROM unnest(%s::uuid[], %s::int[], %s::text[]) AS mine(id, attempt, gate)
WHERE job.id = mine.id AND job.status = 'RUNNING' AND job.worker_id = %s AND job.attempt = mine.attempt
"""
# When to look at who waits: once there are tokens, and in a busy gate only when a few have come together.
_LOOK_AT = """CASE WHEN asked.every IS NOT NULL
      THEN statement_timestamp() + make_interval(secs => GREATEST(({used} + {tokens} - asked.burst) * asked.every,
        LEAST({look}, asked.burst * asked.every * {share}))) END"""
# In the transaction of the parking, and after it: a look at the gate comes either before, and finds the time
# empty that this fills in, or after, and sees who is parked.
_MARK_SQL = """
UPDATE {gates} AS gate SET release_at = COALESCE(gate.release_at, {look_at})
FROM (
  SELECT parked.gate, rule.id, rule.burst, rule.per_seconds / NULLIF(rule.rate, 0) AS every
  FROM unnest(%s::text[], %s::bigint[]) AS parked(gate, limit_id)
  JOIN {limits} AS rule ON rule.id = parked.limit_id ORDER BY parked.gate COLLATE "C", rule.id
) AS asked
WHERE gate.gate = asked.gate AND gate.limit_id = asked.id
"""

_DUE_SQL = """
SELECT gate.id FROM {gates} AS gate JOIN {limits} AS rule ON rule.id = gate.limit_id
WHERE gate.release_at <= statement_timestamp() AND rule.job_model = %s
ORDER BY gate.release_at LIMIT %s FOR UPDATE OF gate SKIP LOCKED
"""
# After the lock of the gate, and so on a snapshot that sees everybody who was parked before it. One whose row somebody
# holds is left with its token, which nobody counts as used: the gate is looked at again soon.
_LET_SQL = """
WITH asked AS MATERIALIZED (
  SELECT gate.id, gate.gate, asked.*, {used} AS used, CASE WHEN gate.let_at > statement_timestamp()
           - make_interval(secs => {let_seconds}) THEN gate.let_through ELSE 0 END AS let
  FROM {gates} AS gate JOIN LATERAL (
    SELECT rule.rate, rule.burst, rule.per_seconds / NULLIF(rule.rate, 0) AS every
    FROM {limits} AS rule WHERE rule.id = gate.limit_id
  ) AS asked ON true
  WHERE gate.id = ANY(%s::bigint[])
), room AS MATERIALIZED (
  SELECT asked.*, CASE WHEN rate IS NULL THEN 100000 WHEN every IS NULL THEN 0
                       ELSE GREATEST(FLOOR(burst - used)::int - let, 0) END AS free
  FROM asked
), head AS MATERIALIZED (
  SELECT room.id AS gate_id, room.free, first.id, first.cost,
         SUM(first.cost) OVER (PARTITION BY room.id ORDER BY first.priority DESC, first.run_after, first.id) AS upto
  FROM room CROSS JOIN LATERAL (
    SELECT id, cost, priority, run_after FROM {table} AS job
    WHERE job.blocked_on = '{prefix}' || room.gate AND {blocked}
    ORDER BY job.priority DESC, job.run_after, job.id LIMIT LEAST(room.free, {rows}) + 1
  ) AS first
), free AS MATERIALIZED (
  SELECT job.id FROM {table} AS job
  WHERE job.id = ANY (ARRAY(SELECT head.id FROM head WHERE head.upto <= head.free))
    AND job.status = 'BLOCKED' AND job.deleted_at IS NULL
  FOR UPDATE OF job SKIP LOCKED
), released AS (
  UPDATE {table} AS job SET status = 'QUEUED', blocked_on = NULL, updated_at = statement_timestamp()
  WHERE job.id = ANY (ARRAY(SELECT free.id FROM free)) RETURNING job.id, job.queue_name
), counted AS MATERIALIZED (
  SELECT room.id, room.used, room.rate, room.every, room.burst, room.let, COUNT(head.id) > {rows} AS is_cut,
         COALESCE(SUM(head.cost) FILTER (WHERE released.id IS NOT NULL), 0) AS through,
         COALESCE(SUM(head.cost) FILTER (WHERE head.upto <= room.free AND released.id IS NULL), 0) AS held,
         MIN(head.cost) FILTER (WHERE head.upto > room.free) AS next_cost
  FROM room LEFT JOIN head ON head.gate_id = room.id LEFT JOIN released ON released.id = head.id
  GROUP BY room.id, room.used, room.rate, room.every, room.burst, room.let
), marked AS (
  UPDATE {gates} AS gate
  SET let_through = asked.let + asked.through,
      let_at = CASE WHEN asked.through > 0 THEN statement_timestamp() ELSE gate.let_at END,
      release_at = LEAST(
        CASE WHEN asked.through > 0 AND (CASE WHEN asked.rate IS NULL THEN asked.is_cut OR asked.next_cost IS NOT NULL
                                         ELSE asked.is_cut AND asked.next_cost IS NULL END)
          THEN statement_timestamp() END,
        CASE WHEN asked.held > 0 THEN statement_timestamp() + make_interval(secs => {held_seconds}) END,
        CASE WHEN asked.next_cost IS NULL OR asked.every IS NULL THEN NULL
          ELSE LEAST({look_at}, CASE WHEN asked.let + asked.through > 0
            THEN statement_timestamp() + make_interval(secs => {let_seconds}) END) END)
  FROM counted AS asked WHERE gate.id = asked.id
)
SELECT queue_name FROM released
"""

# Each step jumps to the next gate in the index of what is BLOCKED (a "loose index scan").
_FORGOTTEN_SQL = """
WITH RECURSIVE names (gate) AS (
  (SELECT blocked_on FROM {table} WHERE {blocked} ORDER BY blocked_on LIMIT 1)
  UNION ALL
  SELECT (SELECT next.blocked_on FROM {table} AS next
          WHERE {blocked} AND next.blocked_on > names.gate ORDER BY next.blocked_on LIMIT 1)
  FROM names WHERE names.gate IS NOT NULL
), waited AS MATERIALIZED (
  SELECT names.gate AS blocked_on, substr(names.gate, {skip}) AS gate FROM names WHERE names.gate LIKE '{prefix}%%'
), asked AS MATERIALIZED (
  SELECT gate.id, {used} AS used, asked.rate, asked.burst, asked.every, waited.blocked_on
  FROM waited LEFT JOIN (
    SELECT gate.*, rule.rate, rule.burst, rule.per_seconds / NULLIF(rule.rate, 0) AS every
    FROM {gates} AS gate JOIN {limits} AS rule ON rule.id = gate.limit_id WHERE rule.job_model = %s
  ) AS gate ON gate.gate = waited.gate
  CROSS JOIN LATERAL (SELECT gate.rate, gate.burst, gate.every) AS asked
), woken AS (
  UPDATE {gates} AS gate SET release_at = statement_timestamp()
  FROM asked
  WHERE gate.id = asked.id AND (asked.rate IS NULL OR asked.every IS NOT NULL AND (
    gate.release_at IS NULL OR gate.release_at > statement_timestamp() + make_interval(secs =>
      {let_seconds} + GREATEST((asked.used + 1 - asked.burst) * asked.every, 0))))
  RETURNING gate.id
), freed AS (
  UPDATE {table} AS job SET status = 'QUEUED', blocked_on = NULL, updated_at = statement_timestamp()
  WHERE {blocked} AND job.blocked_on = ANY (ARRAY(SELECT asked.blocked_on FROM asked WHERE asked.id IS NULL))
  RETURNING job.queue_name
)
SELECT (SELECT count(*) FROM woken) + (SELECT count(*) FROM asked WHERE asked.id IS NULL),
  ARRAY(SELECT freed.queue_name::text FROM freed)
"""


def take_tokens(table: JobTable[Any], wanted: Mapping[TokenGate, int]) -> dict[TokenGate, TakenTokens]:
    """Take up to so many tokens; return how many there were at each gate that has a row. One statement."""
    found = rows_prepared(_take(table), table.using, *_counts(wanted))
    return {TokenGate(gate, limit_id): TakenTokens(*taken) for gate, limit_id, *taken in found}


def add_token_gates(table: JobTable[Any], gates: Sequence[TokenGate]) -> None:
    with connections[table.using].cursor() as cursor:
        asked = [text_array(gate.gate for gate in gates), number_array(gate.limit_id for gate in gates)]
        cursor.execute(_sql(table, _ADD_SQL), asked)


def give_tokens_back(table: JobTable[Any], left: Mapping[TokenGate, TakenTokens]) -> None:
    gates = sorted(left)
    counts = _counts({gate: left[gate].tokens for gate in gates})
    with connections[table.using].cursor() as cursor:
        cursor.execute(
            _sql(table, _GIVE_BACK_SQL), [*counts, number_array(left[gate].full_again for gate in gates)]
        )


def park_for_tokens(table: JobTable[Any], worker_id: str, parkings: Sequence[Parking]) -> int:
    """Have claimed jobs wait at their gates, and the gates looked at; return how many were still claimed."""
    gates = sorted({parking.gate for parking in parkings})
    mine: list[Any] = [
        uuid_array(parking.job_id for parking in parkings),
        [parking.attempt for parking in parkings],
        [parking.gate.blocked_on for parking in parkings],
        worker_id,
    ]
    marked: list[Any] = [[gate.gate for gate in gates], [gate.limit_id for gate in gates]]
    look_at = _look_at(_USED, "1")
    with transaction.atomic(using=table.using), connections[table.using].cursor() as cursor:
        cursor.execute(_sql(table, _PARK_SQL), mine)
        parked: int = cursor.rowcount
        cursor.execute(_sql(table, _MARK_SQL, look_at=look_at), marked)
    return parked


def let_through(table: JobTable[Any], limit: int) -> LetThrough:
    parts = {
        "used": _USED,
        "look_at": _look_at("asked.used", "asked.let + asked.through + asked.held + asked.next_cost"),
        "let_seconds": LET_SECONDS,
        "held_seconds": HELD_SECONDS,
        "rows": LET_ROWS,
    }
    with transaction.atomic(using=table.using), connections[table.using].cursor() as cursor:
        cursor.execute(_sql(table, _DUE_SQL), [model_label(table.model), limit])
        if not (due := [gate_id for (gate_id,) in cursor.fetchall()]):
            return LetThrough(0, [])
        cursor.execute(_sql(table, _LET_SQL, **parts), [due])
        return LetThrough(len(due), [queue_name for (queue_name,) in cursor.fetchall()])


def wake_forgotten_tokens(table: JobTable[Any]) -> LetThrough:
    parts = {"used": _USED, "let_seconds": LET_SECONDS, "skip": len(TOKEN_PREFIX) + 1}
    with connections[table.using].cursor() as cursor:
        cursor.execute(_sql(table, _FORGOTTEN_SQL, **parts), [model_label(table.model)])
        count, queue_names = cursor.fetchone()
    return LetThrough(count, queue_names)


@functools.lru_cache(maxsize=16)
def _take(table: JobTable[Any]) -> CompiledQuery[Any]:
    sql = _sql(table, _TAKE_SQL, **_TAKE_PARTS)
    return CompiledQuery(model=table.model, using=table.using, sql=sql)


def _look_at(used: str, tokens: str) -> str:
    return _LOOK_AT.format(used=used, tokens=tokens, look=LOOK_SECONDS, share=BURST_SHARE)


def _counts(counts: Mapping[TokenGate, int]) -> list[Any]:
    return [
        text_array(gate.gate for gate in counts),
        number_array(gate.limit_id for gate in counts),
        number_array(counts.values()),
    ]


def _sql(table: JobTable[Any], statement: str, **parts: object) -> str:
    quote = connections[table.using].ops.quote_name
    return statement.format(
        table=table.sql_name,
        gates=quote(FlowGate._meta.db_table),
        limits=quote(FlowLimit._meta.db_table),
        blocked=condition_sql(table.model, table.using, BLOCKED_CONDITION),
        prefix=TOKEN_PREFIX,
        period=PERIOD_PREFIX,
        **parts,
    )
