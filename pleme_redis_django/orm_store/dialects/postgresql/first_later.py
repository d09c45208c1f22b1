"""First later: the first ready jobs that are due after a horizon, of every priority.

The index in claim order begins with the priority, so that what is due late stands at the end of each. PostgreSQL 18
jumps from one priority to the next; earlier ones compare the due times in the index. Either way no row is read that is
due earlier, be it alive or dead.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connections

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.claim_position import ClaimedUpTo
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import narrowed_sql, queues_of, ready_sql
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.pauses import Pauses

_FIRST_LATER = """
SELECT statement_timestamp(), ARRAY(
  SELECT job.priority FROM {table} AS job
  WHERE run_after >= %(since)s AND {ready} {conditions}
  ORDER BY priority DESC, run_after, id LIMIT %(limit)s
)
"""
_LOWEST_ID = UUID(int=0)


class Seen(NamedTuple):
    """What a look found."""

    asked_at: datetime
    """The database's time."""
    priorities: list[int]
    """Of each job, in claim order."""


def first_later(
    table: JobTable[M], selection: JobSelection, limit: int, pauses: Pauses, since: datetime
) -> Seen:
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
        return Seen(*cursor.fetchone())


def claimed_before(priority: int, since: datetime) -> ClaimedUpTo:
    """Return the place in claim order behind which the jobs of a priority are due from ``since`` on."""
    return ClaimedUpTo(priority, since, _LOWEST_ID)
