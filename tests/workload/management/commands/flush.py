"""Django's ``flush`` as the suite has it after every test that commits: only of tables that hold something.

Django's own truncates all of them, and makes the content types and permissions of every app again: about 50 ms
of processor time, after each of nearly 600 tests. These two tables are as migrations have left them, and stay.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.commands import flush
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

MADE_BY_MIGRATE = frozenset({"django_content_type", "auth_permission"})


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        tables = {
            model._meta.db_table
            for model in apps.get_models(include_auto_created=True)
            if model._meta.managed
        }
        tables_in_use = _tables_in_use(connection, sorted(tables - MADE_BY_MIGRATE))
        if tables_in_use:
            # CASCADE: PostgreSQL truncates no table that another one refers to, even when that is empty.
            cascade = connection.vendor == "postgresql"
            statements = connection.ops.sql_flush(self.style, tables_in_use, allow_cascade=cascade)
            connection.ops.execute_sql_flush(statements)


def _tables_in_use(connection: BaseDatabaseWrapper, tables: list[str]) -> list[str]:
    """Return the tables that have rows; on PostgreSQL also those that had some since they were truncated."""
    if connection.vendor == "postgresql":
        sql = (
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
            " AND relname = ANY(%s) AND pg_relation_size(oid) > 0"
        )
        parameters = [tables]
    else:
        sql = " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in tables)
        parameters = []
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [table for (table,) in cursor.fetchall()]
