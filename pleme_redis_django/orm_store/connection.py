"""A thread's database connection across failures: unusable ones are dropped, the next call reconnects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings as django_settings
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    connections,
    transaction,
)

from pleme_redis_django.orm_store.dialects.postgresql.session import STATEMENT_SECONDS, bounds_sql


def bounds_of(connection: Any, statement_seconds: float = STATEMENT_SECONDS) -> str | None:
    """Return the statement that bounds the waits of a transaction which is about to begin, if one is to be sent."""
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        return None  # Inside a caller's transaction how long to wait is the caller's.
    return bounds_sql(statement_seconds)


@contextmanager
def writing(using: str, *, statement_seconds: float = STATEMENT_SECONDS) -> Iterator[None]:
    """Begin a transaction that waits for no lock and no statement for long, and commit it."""
    with reconnecting(using):
        connection = connections[using]
        bounds = bounds_of(connection, statement_seconds)
        with transaction.atomic(using=using):
            if bounds is not None:
                with connection.cursor() as cursor:
                    cursor.execute(bounds)
            yield


# The SQLSTATE classes of errors in a statement or a row, after which the session is still usable.
_HARMLESS_CLASSES = frozenset({"20", "21", "22", "23", "26", "34", "40", "42", "44", "54", "55", "P0"})


def forget_queries(connection: Any) -> None:
    """Drop what ``DEBUG`` has Django keep of every query: no request ends here, and so nobody else does.

    A test that captures queries keeps its own.
    """
    if django_settings.DEBUG and not connection.force_debug_cursor:
        connection.queries_log.clear()


def is_pooled(connection: Any) -> bool:
    """Whether Django takes the connection out of a pool, where others wait for it."""
    return bool(connection.settings_dict["OPTIONS"].get("pool"))


@contextmanager
def reconnecting(using: str) -> Iterator[None]:
    """Drop the thread's connection when the block failed for a reason that another one may not have.

    One out of a pool goes back after every block: kept by each thread of the engine, a few would be all there are.
    Engine threads live as long as their process, and no request cycle tidies up after them. That a
    session still answers says little: after a failover it may be one to a server that only reads.
    """
    try:
        yield
        connection = connections[using]
        forget_queries(connection)
        if is_pooled(connection) and not connection.in_atomic_block:
            connection.close()
    except (DatabaseError, InterfaceError) as error:
        connection = connections[using]
        if not connection.in_atomic_block and (is_pooled(connection) or not is_harmless(error)):
            connection.close()
        raise


def is_harmless(error: BaseException) -> bool:
    """Whether the error is about a statement or its rows, and none of the session or the server."""
    if isinstance(error, InterfaceError):
        return False
    state = sqlstate_of(error)
    if not state:
        return isinstance(error, DataError | IntegrityError | NotSupportedError)
    return state[:2] in _HARMLESS_CLASSES


def sqlstate_of(error: BaseException) -> str:
    """Return the SQLSTATE of a database error, "" where there is none: SQLite's, or of a lost connection."""
    return getattr(error.__cause__, "sqlstate", None) or ""
