"""Who waits at gates on PostgreSQL: anybody at all, where of some gates, and where of all."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from django.db import connections

from pleme_redis_django.models.indexes import BLOCKED_CONDITION
from pleme_redis_django.orm_store.compiled_query import CompiledQuery
from pleme_redis_django.orm_store.dialects.postgresql.prepared import rows_prepared
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import condition_sql
from pleme_redis_django.orm_store.flow.gates import Gate
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import text_array

# In the order of the index of gates, which nothing else gives. Where the statistics still know of many that are gone,
# the planner would look through the whole table for the first.
_SOMEBODY_WAITS_SQL = """
SELECT EXISTS (SELECT 1 FROM (
  SELECT 1 FROM {table} WHERE {blocked} AND blocked_on > '' ORDER BY blocked_on, priority DESC, run_after, id LIMIT 1
) AS first)
"""
# In that order too: with many behind one gate, the planner would read all that waits to join it with the gates asked
# for, or look through the table for the first.
_WAITED_AT_SQL = """
SELECT gate.text FROM unnest(%s::text[]) AS gate(text)
CROSS JOIN LATERAL (
  SELECT 1 FROM {table} WHERE {blocked} AND blocked_on = gate.text ORDER BY priority DESC, run_after, id LIMIT 1
) AS first
"""

# Each step jumps to the next gate in the index of what is BLOCKED (a "loose index scan").
EVERY_GATE_SQL = """
WITH RECURSIVE gates (gate) AS (
  (SELECT blocked_on FROM {table} WHERE {blocked} ORDER BY blocked_on LIMIT 1)
  UNION ALL
  SELECT (SELECT next.blocked_on FROM {table} AS next
          WHERE {blocked} AND next.blocked_on > gates.gate ORDER BY next.blocked_on LIMIT 1)
  FROM gates WHERE gates.gate IS NOT NULL
)
"""
_WAITED_AT_ANYWHERE_SQL = "{every_gate}SELECT gate FROM gates WHERE gate NOT LIKE 'o:%%'"


def somebody_waits(table: JobTable[Any]) -> bool:
    ((waits,),) = rows_prepared(_somebody_waits(table), table.using)
    return bool(waits)


def gates_waited_at(table: JobTable[Any], gates: Sequence[Gate]) -> list[Gate]:
    by_text = {gate.text: gate for gate in gates}
    found = rows_prepared(_waited_at(table), table.using, text_array(by_text))
    return [by_text[text] for (text,) in found]


def texts_waited_at(table: JobTable[Any]) -> list[str]:
    """Return every gate at which somebody waits, without the lines; 10 ms for a thousand."""
    with connections[table.using].cursor() as cursor:
        cursor.execute(_waited_at_anywhere_sql(table), [])
        return [text for (text,) in cursor.fetchall()]


@functools.lru_cache(maxsize=16)
def _somebody_waits(table: JobTable[Any]) -> CompiledQuery[Any]:
    sql = _SOMEBODY_WAITS_SQL.format(table=table.sql_name, blocked=_blocked_sql(table))
    return CompiledQuery(model=table.model, using=table.using, sql=sql)


@functools.lru_cache(maxsize=16)
def _waited_at(table: JobTable[Any]) -> CompiledQuery[Any]:
    sql = _WAITED_AT_SQL.format(table=table.sql_name, blocked=_blocked_sql(table))
    return CompiledQuery(model=table.model, using=table.using, sql=sql)


@functools.lru_cache(maxsize=16)
def _waited_at_anywhere_sql(table: JobTable[Any]) -> str:
    every_gate = EVERY_GATE_SQL.format(table=table.sql_name, blocked=_blocked_sql(table))
    return _WAITED_AT_ANYWHERE_SQL.format(every_gate=every_gate)


def _blocked_sql(table: JobTable[Any]) -> str:
    return condition_sql(table.model, table.using, BLOCKED_CONDITION)
