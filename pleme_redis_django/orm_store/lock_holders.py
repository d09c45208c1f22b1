"""Lock holders: which process of PostgreSQL holds a table of jobs, or rows of it, so that nothing can be written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connections

from pleme_redis_django.exceptions import LockedTable

# The modes that keep an UPDATE out (PostgreSQL documentation, 13.3.1). One that is only asked for keeps it out
# too, since who comes later waits behind it.
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
# A row that several share names none of them in its xmax, and is left out.
_ROWS_SQL = """
SELECT DISTINCT held.pid FROM {table} AS job
JOIN pg_locks AS held ON held.locktype = 'transactionid' AND held.granted AND held.transactionid = job.xmax
WHERE job.id = ANY (%s) ORDER BY held.pid LIMIT 5
"""


def holders_of_rows(using: str, table: str, job_ids: Iterable[UUID]) -> list[int]:
    """Return the pids of some that hold rows, as far as the rows tell. PostgreSQL only."""
    connection: Any = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(_ROWS_SQL.format(table=connection.ops.quote_name(table)), [list(job_ids)])
        return [pid for (pid,) in cursor.fetchall()]


def locked_table(using: str, tables: Sequence[str]) -> LockedTable | None:
    """Return what holds one of the tables as a whole, None when nothing does. PostgreSQL only."""
    connection: Any = connections[using]
    names = [connection.ops.quote_name(table) for table in tables]
    with connection.cursor() as cursor:
        cursor.execute(_TABLE_SQL, [names])
        found = cursor.fetchone()
    if found is None:
        return None
    table, mode, granted, pid, user, application, seconds = found
    has = "holds" if granted else "waits for"
    return LockedTable(
        f"The table {table} is locked: the process {pid} of the database (user {user}, application "
        f'"{application}") {has} {mode} in a transaction of {seconds:.0f} s. What is to be written waits until that '
        f"has ended; SELECT pg_terminate_backend({pid}) ends it."
    )
