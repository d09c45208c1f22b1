"""A session of PostgreSQL: what its transactions wait for at most, what time it is there, and how far away it is."""

from __future__ import annotations

import functools
import time
from datetime import datetime

from django.db import connections

# A row that somebody else's transaction holds is not waited for longer than this: the writer has
# other things to write. A statement takes milliseconds, and seconds only where something is wrong.
# What the role or the database has set itself is kept. Said for one transaction alone, since a session
# may be PgBouncer's.
LOCK_WAIT = "250ms"
STATEMENT_SECONDS = 30.0
# A process that stands still inside of a transaction, such as one whose interpreter a C extension holds, would keep
# its rows for as long: of its own heartbeat for one, so that nobody could declare it dead. Its session is ended.
IDLE_WAIT = "10s"


@functools.lru_cache(maxsize=16)
def bounds_sql(statement_seconds: float) -> str:
    """Return the statement that bounds the waits of a transaction which has begun."""
    bounds = {
        "lock_timeout": LOCK_WAIT,
        "statement_timeout": f"{statement_seconds * 1000:.0f}ms",
        "idle_in_transaction_session_timeout": IDLE_WAIT,
    }
    return "SELECT " + ", ".join(
        f"set_config('{name}', CASE current_setting('{name}') WHEN '0' THEN '{bound}' "
        f"ELSE current_setting('{name}') END, true)"
        for name, bound in bounds.items()
    )


def round_trip_seconds(using: str) -> float:
    """Return how long the database takes to answer a query that asks nothing of it."""
    with connections[using].cursor() as cursor:
        started = time.monotonic()
        cursor.execute("SELECT 1")
        cursor.fetchone()
        return time.monotonic() - started


def database_time(using: str) -> datetime:
    """Return when the current transaction began, or this query, by the clock of PostgreSQL."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT now()")
        (now,) = cursor.fetchone()
    return now  # type: ignore[no-any-return]  # a column of the query
