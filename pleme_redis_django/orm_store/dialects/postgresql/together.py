"""Together: several statements as one string and one transaction, which holds no row while the client is asked.

Sent one by one, the first rows stay locked for as many round trips as statements follow. On a busy host the endings
of fifty jobs took two seconds, and whoever wanted to write one of these rows meanwhile gave up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from django.db import connections, transaction
from django.db.models.sql import UpdateQuery

from pleme_redis_django.orm_store.connection import bounds_of
from pleme_redis_django.orm_store.row_update import RowUpdate

T = TypeVar("T")
Statement = tuple[str, Sequence[Any]]


def prepared_updates(using: str, updates: Sequence[RowUpdate]) -> Callable[[], list[bool]]:
    """Return what runs compiled updates, all or none, and returns which met their rows."""
    statements = [_statement_of(using, update) for update in updates]
    return lambda: [bool(count) for count in run_together(using, statements, _count)]


def run_together(using: str, statements: Sequence[Statement], read: Callable[[Any], T]) -> list[T]:
    """Run statements under the bounds of a transaction; return what ``read`` takes from the cursor after each.

    One round trip where the driver can send several statements at once, and another two for one that begins and
    ends the transaction itself.
    """
    connection: Any = connections[using]
    if not statements:
        return []
    bounds = bounds_of(connection)
    sent = list(statements) if bounds is None else [(bounds, ()), *statements]
    is_whole = connection.get_autocommit() and not connection.features.uses_server_side_binding
    in_transaction = nullcontext() if is_whole else transaction.atomic(using=using, savepoint=False)
    with in_transaction, connection.cursor() as cursor:
        if connection.features.uses_server_side_binding:
            found = [_run(cursor, statement, read) for statement in sent]
        else:
            text = "; ".join(sql for sql, _parameters in sent)
            found = [_run(cursor, (text, [each for _sql, some in sent for each in some]), read)]
            while cursor.nextset():
                found.append(read(cursor))
    return found[-len(statements) :]


def _run(cursor: Any, statement: Statement, read: Callable[[Any], T]) -> T:
    cursor.execute(*statement)
    return read(cursor)


def _count(cursor: Any) -> int:
    return int(cursor.rowcount)


def _statement_of(using: str, update: RowUpdate) -> Statement:
    query: Any = update.rows.query.chain(UpdateQuery)
    query.add_update_values(dict(update.values))
    query.clear_ordering(force=True)
    sql, parameters = query.get_compiler(using).as_sql()
    return sql, parameters
