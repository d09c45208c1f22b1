"""Locks of gates: transactions about the same gate run one after the other, and each sees what the one before did.

They are advisory locks of the transaction, so that they hold nothing behind PgBouncer and after a death. They
fall into 64 buckets, since the server's lock table has few places for each connection, and are taken in order and
before any row: no transaction that holds rows of jobs ever waits for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections, transaction

from pleme_redis_django.orm_store.connection import bounds_of

# The first number is "plme": the key by which the locks of a database's users are told apart.
_LOCK_SQL = """
SELECT pg_advisory_xact_lock(1886154085, bucket)
FROM (SELECT DISTINCT hashtext(gate) & 63 AS bucket FROM unnest(%s::text[]) AS gate ORDER BY 1 OFFSET 0) AS ordered
"""


def run_locked(
    using: str, gates: Sequence[str], sql: str, parameters: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """Run a statement under the locks of its gates; return its rows.

    The locks are a statement of their own: its snapshot is the first that is sure to see what was committed under
    them. Outside of a transaction it is one round trip, where the driver can send several statements at once.
    """
    connection: Any = connections[using]
    bounds = bounds_of(connection)
    statements = [(bounds, []), (_LOCK_SQL, [list(gates)]), (sql, list(parameters))]
    sent = [(text, values) for text, values in statements if text is not None]
    if connection.features.uses_server_side_binding or not connection.get_autocommit():
        with transaction.atomic(using=using), connection.cursor() as cursor:
            for text, values in sent:
                cursor.execute(text, values)
            return list(cursor.fetchall())
    with connection.cursor() as cursor:
        # One string is one transaction; each of its statements has a snapshot of its own.
        cursor.execute("; ".join(text for text, _ in sent), [value for _, values in sent for value in values])
        while cursor.nextset():
            pass
        return list(cursor.fetchall())
