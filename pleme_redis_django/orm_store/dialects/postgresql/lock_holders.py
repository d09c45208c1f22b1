"""Lock holders: which rows of a job table others hold, and which process of the database holds rows or a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connections

from pleme_redis_django.exceptions import LockedTable
from pleme_redis_django.models.job_attempt import JobAttempt
from pleme_redis_django.orm_store.dialects.postgresql.together import run_together
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import any_of

# The modes that keep an UPDATE out (PostgreSQL documentation, 13.3.1). One that is only asked for keeps it out
# too, because later requests wait behind it.
_TABLE_SQL = """
SELECT held.relation::regclass::text, held.mode, held.granted, held.pid,
       COALESCE(activity.usename, '?'), COALESCE(activity.application_name, ''),
       COALESCE(EXTRACT(epoch FROM statement_timestamp() - activity.xact_start), 0)
FROM pg_locks AS held LEFT JOIN pg_stat_activity AS activity ON activity.pid = held.pid
WHERE held.locktype = 'relation'
  AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND held.relation = ANY (%s::regclass[]) AND held.pid <> pg_backend_pid()
  AND held.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
ORDER BY held.granted DESC, activity.xact_start
LIMIT 1
"""
_FREE_SQL = "SELECT id FROM {table} WHERE id = ANY (%s) FOR NO KEY UPDATE SKIP LOCKED"
# A row that several share names none of them in its xmax, and is left out.
_ROWS_SQL = """
SELECT DISTINCT held.pid FROM {table} AS job
JOIN pg_locks AS held ON held.locktype = 'transactionid' AND held.granted AND held.transactionid = job.xmax
WHERE job.id = ANY (%s) ORDER BY held.pid LIMIT 5
"""


def locked_jobs(table: JobTable[Any], job_ids: Sequence[UUID]) -> set[UUID]:
    sql = _FREE_SQL.format(table=table.sql_name)
    (found,) = run_together(table.using, [(sql, [list(job_ids)])], lambda cursor: cursor.fetchall())
    rows = table.rows().filter(any_of("id", job_ids)).order_by()
    return set(rows.values_list("id", flat=True)) - {job_id for (job_id,) in found}


def holders_of_rows(table: JobTable[Any], job_ids: Iterable[UUID]) -> list[int]:
    """Return the pids of some that hold rows, as far as the rows tell."""
    with connections[table.using].cursor() as cursor:
        cursor.execute(_ROWS_SQL.format(table=table.sql_name), [list(job_ids)])
        return [pid for (pid,) in cursor.fetchall()]


def locked_table(table: JobTable[Any]) -> LockedTable | None:
    """Return what holds the table, or that of failed attempts, as a whole; None when nothing does."""
    connection: Any = connections[table.using]
    names = [table.sql_name, connection.ops.quote_name(JobAttempt._meta.db_table)]
    with connection.cursor() as cursor:
        cursor.execute(_TABLE_SQL, [names])
        found = cursor.fetchone()
    if found is None:
        return None
    locked, mode, granted, pid, user, application, seconds = found
    has = "holds" if granted else "waits for"
    return LockedTable(
        f"The table {locked} is locked: the process {pid} of the database (user {user}, application "
        f'"{application}") {has} {mode} in a transaction of {seconds:.0f} s. What is to be written waits until that '
        f"has ended; SELECT pg_terminate_backend({pid}) ends it."
    )
