"""Refusals: whether endings were refused for their values, for locks on their rows, or for another reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import DatabaseError, DataError, IntegrityError

from pleme_redis_django.exceptions import BadEnding, DoubtfulEndings, LockedJobs, StoreError
from pleme_redis_django.orm_store.connection import sqlstate_of
from pleme_redis_django.orm_store.dialects.postgresql.lock_holders import (
    holders_of_rows,
    locked_jobs,
    locked_table,
)
from pleme_redis_django.orm_store.job_table import JobTable

# SQLSTATEs (PostgreSQL documentation, appendix A). Refusals of a row for what it says: constraints, views
# with a check option, triggers and their RAISE, limits of the program such as the size of an index entry.
_ROW_CLASSES = frozenset({"22", "23", "44", "54", "P0"})
# Of what is neither the row's nor the server's own state: maybe one row's.
_DOUBTFUL_CLASSES = frozenset({"09", "21", "27", "38", "39", "40", "55", "57014", "XX"})
_LOCK_NOT_AVAILABLE = "55P03"


def refusal(
    table: JobTable[Any], error: DatabaseError, job_ids: Sequence[UUID], *, bounded: bool
) -> StoreError | None:
    """Return what the finisher parts endings by; None when the error is not about endings.

    ``bounded``: whether the wait for a lock was, and so says that somebody else holds one.
    """
    state = sqlstate_of(error)
    if isinstance(error, DataError | IntegrityError) or state[:2] in _ROW_CLASSES:
        return BadEnding(str(error))
    if state == _LOCK_NOT_AVAILABLE and bounded:
        if held := locked_table(table):
            return held
        if locked := locked_jobs(table, job_ids):
            return LockedJobs(locked, holders_of_rows(table, locked))
    if state[:2] in _DOUBTFUL_CLASSES or state in _DOUBTFUL_CLASSES:
        return DoubtfulEndings(str(error))
    return None
