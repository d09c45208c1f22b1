"""Completion: one UPDATE for many completed jobs."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from typing import Any

from django.db import connections

from pleme_redis_django.jobs.definitions.uniqueness import PERIOD_PREFIX
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_CRASHES
from pleme_redis_django.orm_store.dialects.postgresql.prepared import planned_behind
from pleme_redis_django.orm_store.job_table import JobTable

# The ORM has no UPDATE ... FROM, and one UPDATE a row costs ten times the round trips. What the row is
# compared with all comes out of the arrays: a plan that is made without knowing them, as for a prepared
# statement, can then find a row by its primary key alone, and not go through all that is RUNNING for each.
# And by the array of the keys: joined to a small table, the planner goes through all of it for each batch.
_COMPLETE_SQL = """
WITH ending AS MATERIALIZED (
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::int[], %s::float8[], %s::text[], %s::text[])
        WITH ORDINALITY AS given(id, worker_id, status, attempt, run_seconds, results, progress, number)
)
UPDATE {table} AS job
SET status = 'COMPLETED', completed_at = statement_timestamp(), updated_at = statement_timestamp(),
    started_at = COALESCE(job.started_at, statement_timestamp() - make_interval(secs => ending.run_seconds)),
    results = ending.results::jsonb,
    progress = COALESCE(ending.progress::jsonb, job.progress),
    error_message = '', error_details = NULL, error_fingerprint = '',
    unique_slot = CASE WHEN job.unique_slot LIKE '{period}%%' THEN job.unique_slot END,
    crash_count = CASE WHEN job.crash_count < {suspect} THEN job.crash_count ELSE 0 END
FROM ending
WHERE job.id = ANY (ARRAY(SELECT ending.id FROM ending))
  AND job.id = ending.id AND job.status = ending.status
  AND job.worker_id = ending.worker_id AND job.attempt = ending.attempt
RETURNING ending.number
"""

# A plan is kept while the table grows from nothing: it goes neither through all of it, nor through all endings for
# each row. Said each time, since only PostgreSQL knows when it plans anew.
_PLAN_BY_KEY = "SET LOCAL enable_seqscan = off; SET LOCAL enable_nestloop = off"


def complete(table: JobTable[Any], endings: Sequence[Completed], bounds: str | None) -> list[bool]:
    """Complete the jobs; return which were RUNNING under their claims. One round trip, ``bounds`` included."""
    connection: Any = connections[table.using]
    statement, columns = _statement(table), _columns(endings)
    planned = bounds and planned_behind(f"{bounds}; {_PLAN_BY_KEY}", statement, table.using, tuple(columns))
    if planned:
        return _answers(planned, len(endings))
    sql = statement.sql
    with connection.cursor() as cursor:
        if bounds is not None and connection.features.uses_server_side_binding:
            cursor.execute(bounds)
        elif bounds is not None:
            sql = f"{bounds}; {sql}"  # One round trip for both.
        cursor.execute(sql, columns)
        while cursor.nextset():
            pass
        return _answers(cursor, len(endings))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _CompletionStatement:
    """The statement of a table; compared by identity, as what is planned has to be."""

    sql: str
    parameters: tuple[()] = ()


@functools.lru_cache(maxsize=64)
def _statement(table: JobTable[Any]) -> _CompletionStatement:
    sql = _COMPLETE_SQL.format(table=table.sql_name, period=PERIOD_PREFIX, suspect=SUSPECT_AFTER_CRASHES)
    return _CompletionStatement(sql=sql)


def _answers(cursor: Any, count: int) -> list[bool]:
    if cursor.rowcount == count:
        return [True] * count
    found = {number for (number,) in cursor.fetchall()}
    return [number in found for number in range(1, count + 1)]


def _columns(endings: Sequence[Completed]) -> list[Any]:
    """Return the arrays of the statement; those of plain numbers as text, which costs a third."""
    count, claims = len(endings), [ending.claim for ending in endings]
    results = [None if ending.results_json == "null" else ending.results_json for ending in endings]
    progress = [None if ending.progress is None else json.dumps(ending.progress) for ending in endings]
    return [
        # UUID.hex is a call in Python, and this the busiest thread of a worker: hence lists too, and no generators.
        _array_text([f"{ending.job_id.int:032x}" for ending in endings]),
        _array_text([claim.worker_id for claim in claims]),
        _array_text(["RUNNING"] * count),
        _array_text([str(claim.attempt) for claim in claims]),
        _array_text([f"{ending.run_seconds:.6f}" for ending in endings]),
        results if any(results) else _array_text(["NULL"] * count),
        progress if any(progress) else _array_text(["NULL"] * count),
    ]


def _array_text(items: list[str]) -> str:
    """Return PostgreSQL's array literal of items that need no quotes."""
    return "{" + ",".join(items) + "}"
