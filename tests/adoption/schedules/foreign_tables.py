"""Tables of other schedulers, for as long as a test needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models import Model


@contextmanager
def created(connection: Any, *tables: type[Model]) -> Iterator[None]:
    """Create the tables in the test's transaction, which takes them away."""
    assert connection.in_atomic_block
    names = [table._meta.db_table for table in tables]
    statements = _statements(connection, tables)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    assert set(names) <= set(connection.introspection.table_names())
    yield


def _statements(connection: Any, tables: tuple[type[Model], ...]) -> list[str]:
    # Not run by the editor: that of SQLite takes no part in a transaction.
    editor = connection.schema_editor(collect_sql=True, atomic=False)
    statements = []
    for table in tables:
        sql, _parameters = editor.table_sql(table)
        statements.append(sql)
    return statements
