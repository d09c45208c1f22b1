"""The one statement that claims on PostgreSQL: the ORM's SELECT ... FOR UPDATE inside an UPDATE."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

from django.db import transaction
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from pleme_redis_django.jobs.definitions.uniqueness import WAITING_PREFIX
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.compiled_query import CompiledQuery, compile_query
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.pauses import Pauses

# The ORM writes the SELECT ... FOR UPDATE SKIP LOCKED, and has no UPDATE ... FROM. As one statement
# they are one round trip where BEGIN, SELECT, UPDATE and COMMIT are four. MATERIALIZED: a subquery
# that the planner may run more than once would lock more rows than its LIMIT.
# The rows come out of an array of their ids: joined to them, the planner goes through a whole small
# table, and carries every column through a sort.
# "while_waiting" slots end where the attempt begins, and are not restored by a retry or a rescue:
# a restored slot would collide with the job that has taken it meanwhile. Where admission may have a claimed job wait
# on, that is after it: ``free_unique_slots``.
# A claim is not waited for on disk (https://www.postgresql.org/docs/current/wal-async-commit.html): a
# crash of the database server may make the row ready again, and the ending of the attempt that it
# forgot is refused; admission sees to it that a limit holds even then. It is set only for this statement's own
# transaction, because a session may be PgBouncer's.
COMMIT_MODE = "off"
_CLAIM_SQL = """
WITH ready AS MATERIALIZED ({ready}),
     commit_mode AS MATERIALIZED (
         SELECT set_config('synchronous_commit', COALESCE(%s, current_setting('synchronous_commit')), true)
     )
UPDATE {table}
SET status = 'RUNNING', worker_id = %s, attempt = {table}.attempt + 1, claimed_at = statement_timestamp(),
    started_at = NULL, updated_at = statement_timestamp(){slots}
FROM commit_mode
WHERE {table}.id = ANY (ARRAY(SELECT ready.id FROM ready))
RETURNING {columns}
"""
_FREE_SLOTS = """,
    unique_slot = CASE WHEN {table}.unique_slot LIKE '{waiting}%%' THEN NULL ELSE {table}.unique_slot END"""


class Part(NamedTuple):
    """A part of the ready rows, which is another one at each claim."""

    sql: str
    parameters: int


# The ORM compares no rows. Only so does the index find the place itself: those before it are not read.
BEHIND = Part("priority = %s AND (run_after, id) > (%s, %s)", 3)
"""What stands behind a place in the order of a priority: its priority, due time and id."""
HIGHER = Part("priority > %s AND run_after >= %s", 2)
"""What has a higher priority, and is due from a time on. Of what is due earlier, no row is read."""
AMONG = Part("id = ANY (%s)", 1)
"""Of the rows with these ids."""


@functools.lru_cache(maxsize=1024)
def claim_statement(
    table: JobTable[M],
    selection: JobSelection,
    limit: int,
    pauses: Pauses,
    part: Part | None = None,
    *,
    is_limited: bool = False,
    keeps_slots: bool = False,
) -> CompiledQuery[M]:
    """Return the statement; its parameters are those of ``fetch``.

    They are those of ``part``; then the ``synchronous_commit`` of the transaction (None: as it is) and the worker's id.
    """
    loaded, ready = _compiled(table, selection, pauses, part, is_limited=is_limited)
    if ready.sql is None:
        return dataclasses.replace(loaded, sql=None)
    # The limit may stand behind the lock, and only so is the rest the same for each of them.
    sql = claiming_sql(table, f"{ready.sql} LIMIT {limit}", loaded, keeps_slots=keeps_slots)
    # Those of the part stand last in the query.
    parameters = ready.parameters[: -part.parameters] if part else ready.parameters
    return dataclasses.replace(loaded, sql=sql, parameters=parameters)


# A busy worker claims another number each time, and the ORM takes 3 milliseconds to compile a claim.
@functools.lru_cache(maxsize=64)
def _compiled(
    table: JobTable[M], selection: JobSelection, pauses: Pauses, part: Part | None, *, is_limited: bool
) -> tuple[CompiledQuery[M], CompiledQuery[M]]:
    """Return what is loaded of claimed rows, and the query that locks ready ones, without a limit."""
    rows = table.claimable(selection, pauses, is_limited=is_limited)
    if part:
        values = (None,) * part.parameters
        rows = rows.filter(RawSQL(part.sql, values, output_field=BooleanField()))  # noqa: S611 - a constant
    loaded = compile_query(rows, table.using, times_as_text=True)
    # The ORM compiles a query that locks rows only inside a transaction; nothing is sent in this one.
    with transaction.atomic(using=table.using, savepoint=False):
        ready = compile_query(rows.values_list("id").select_for_update(skip_locked=True), table.using)
    return loaded, ready


def claiming_sql(table: JobTable[M], ready: str, loaded: CompiledQuery[M], *, keeps_slots: bool) -> str:
    """Return the statement that claims the rows whose ids ``ready`` selects, and returns what ``loaded`` does."""
    slots = "" if keeps_slots else _FREE_SLOTS.format(table=table.sql_name, waiting=WAITING_PREFIX)
    return _CLAIM_SQL.format(ready=ready, table=table.sql_name, slots=slots, columns=loaded.columns_sql)
