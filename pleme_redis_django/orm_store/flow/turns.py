"""Turns: the turn of a line passes to its next job, once what ended the last one is committed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.db import DatabaseError, IntegrityError, connections

from pleme_redis_django.orm_store.connection import sqlstate_of
from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.flow.lines import Line, lines_of
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import any_of

TRIES = 3
# serialization_failure and deadlock_detected: the same transaction may succeed when it is run again.
_START_AGAIN = ("40001", "40P01")


def lines_of_ids(table: JobTable[Any], job_ids: Sequence[UUID]) -> list[Line]:
    """Return the lines of these jobs; a query."""
    return lines_of(table.rows().filter(any_of("id", job_ids)))


def let_next(dialect: Dialect, table: JobTable[Any], lines: Collection[Line]) -> list[str]:
    """Give the first of each line its turn where nobody has it; return the queue name of each that is ready now.

    To be called when what may have ended a turn is committed. It may be called for any line at any time.
    """
    if not lines:
        return []
    wanted = sorted(lines)
    inside = connections[table.using].in_atomic_block
    for _try in range(TRIES - 1):
        try:
            return dialect.let_next(table, wanted)
        except DatabaseError as error:
            # Inside a caller's transaction nothing can be tried again, and a turn that was taken by hand
            # meanwhile shows only to a new snapshot.
            if inside or not (isinstance(error, IntegrityError) or sqlstate_of(error) in _START_AGAIN):
                raise
    return dialect.let_next(table, wanted)


def open_lines(dialect: Dialect, table: JobTable[Any]) -> list[Line]:
    """Return the lines in which somebody waits and nobody has its turn."""
    return dialect.open_lines(table)
