"""Reads of a page that the database cancels when they take too long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connections, transaction

from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.orm_store.connection import sqlstate_of

# PostgreSQL, appendix A: query_canceled, lock_not_available (by a lock_timeout of the project's own).
_TOOK_TOO_LONG = frozenset({"57014", "55P03"})
# 0 means no limit. pg_settings tells the limit in milliseconds, whatever its unit was.
_SHORTEN_SQL = """
SELECT setting, set_config('statement_timeout',
                           CASE WHEN setting::int BETWEEN 1 AND %s::int THEN setting ELSE %s END, true)
FROM pg_settings WHERE name = 'statement_timeout'
"""
_RESTORE_SQL = "SELECT set_config('statement_timeout', %s, true)"


class ReadTookTooLong(PlemeError):
    """The database has cancelled a statement."""


@contextmanager
def bounded_reads(using: str, seconds: float) -> Iterator[None]:
    """Limit each statement of the block to this many seconds, on PostgreSQL; raises ReadTookTooLong.

    A shorter time that the role or the connection sets stays as it is.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        yield
        return
    is_inside = connection.in_atomic_block
    try:
        with transaction.atomic(using=using):
            milliseconds = str(round(seconds * 1000))
            with connection.cursor() as cursor:
                cursor.execute(_SHORTEN_SQL, [milliseconds, milliseconds])
                before, _ = cursor.fetchone()
            yield
            if is_inside:  # What comes after in the caller's transaction has the caller's time.
                with connection.cursor() as cursor:
                    cursor.execute(_RESTORE_SQL, [before])
    except OperationalError as error:
        if sqlstate_of(error) not in _TOOK_TOO_LONG:
            raise
        raise ReadTookTooLong(f"The database did not answer within {seconds:g} s.") from error
