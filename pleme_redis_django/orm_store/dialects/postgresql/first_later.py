"""First later: the first ready jobs that are due after a horizon, of every priority.

The index in claim order begins with the priority, so that what is due late stands at the end of each: the
priorities are jumped through, and each is read from the horizon on. What is due earlier is not read.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connections

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.claim_position import ClaimedUpTo
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import narrowed_sql, queues_of, ready_sql
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.pauses import Pauses

# Each step of the recursion jumps to the next priority in the index (a "loose index scan").
_FIRST_LATER = """
WITH RECURSIVE priorities (priority) AS (
  (SELECT priority FROM {table} WHERE {ready} ORDER BY priority DESC LIMIT 1)
  UNION ALL
  SELECT (SELECT next.priority FROM {table} AS next
          WHERE {ready} AND next.priority < priorities.priority ORDER BY next.priority DESC LIMIT 1)
  FROM priorities WHERE priorities.priority IS NOT NULL
)
SELECT head.priority FROM priorities CROSS JOIN LATERAL (
  SELECT job.priority, run_after, id FROM {table} AS job
  WHERE job.priority = priorities.priority AND run_after >= %(since)s AND {ready} {conditions}
  ORDER BY run_after, id LIMIT %(limit)s
) AS head
ORDER BY head.priority DESC, head.run_after, head.id LIMIT %(limit)s
"""
_LOWEST_ID = UUID(int=0)


def first_later(
    table: JobTable[M], selection: JobSelection, limit: int, pauses: Pauses, since: datetime
) -> list[int]:
    """Return the priority of each of the first ready jobs that are due from ``since`` on; one query."""
    parameters = queues_of(selection, pauses)
    conditions = narrowed_sql(table.model, table.using, selection, pauses)
    if selection.queue_names is not None:
        conditions += " AND job.queue_name = ANY(%(open)s::text[])"
    sql = _FIRST_LATER.format(
        table=table.sql_name, ready=ready_sql(table.model, table.using), conditions=conditions
    )
    with connections[table.using].cursor() as cursor:
        cursor.execute(sql, parameters | {"limit": limit, "since": since})
        return [priority for (priority,) in cursor.fetchall()]


def claimed_before(priority: int, since: datetime) -> ClaimedUpTo:
    """Return the place in claim order behind which the jobs of a priority are due from ``since`` on."""
    return ClaimedUpTo(priority, since, _LOWEST_ID)
