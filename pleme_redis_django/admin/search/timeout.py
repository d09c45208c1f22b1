"""A search that takes too long is cancelled by the database, so that no page keeps it busy.

A window bounds the rows that are looked at, not their size: 100,000 rows may hold gigabytes of JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connections, transaction

SEARCH_SECONDS = 10.0
_QUERY_CANCELLED = "57014"  # PostgreSQL, appendix A: query_canceled


class SearchTookTooLong(Exception):
    """The database has cancelled the search."""


@contextmanager
def bounded_time(using: str) -> Iterator[None]:
    """Give each statement ``SEARCH_SECONDS``, on PostgreSQL; raises SearchTookTooLong."""
    try:
        with transaction.atomic(using=using):
            if connections[using].vendor == "postgresql":
                with connections[using].cursor() as cursor:
                    milliseconds = str(round(SEARCH_SECONDS * 1000))
                    cursor.execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds])
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _QUERY_CANCELLED:
            raise
        raise SearchTookTooLong from error
