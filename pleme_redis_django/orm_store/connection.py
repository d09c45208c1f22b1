"""A thread's database connection across failures: unusable ones are dropped, the next call reconnects."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, connections


@contextmanager
def reconnecting(using: str) -> Iterator[None]:
    """Drop the thread's connection when the block failed and left it unusable.

    Engine threads live as long as their process, and no request cycle tidies up after them.
    """
    try:
        yield
    except (DatabaseError, InterfaceError):
        connection = connections[using]
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        raise


def round_trip_seconds(using: str) -> float:
    """Return how long the database takes to answer a query that asks nothing of it."""
    with connections[using].cursor() as cursor:
        started = time.monotonic()
        cursor.execute("SELECT 1")
        cursor.fetchone()
        return time.monotonic() - started
