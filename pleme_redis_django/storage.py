"""JobTableStorage: the migration operation that has PostgreSQL vacuum a job table by what changes, not by its size.

PostgreSQL's own setting vacuums a table when a fifth of it is dead rows. A job table is mostly history, so
that with ten million finished jobs a million more end before the next vacuum; until then each claim
reads past the index entries that they left at the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

STORAGE_PARAMETERS: Mapping[str, str] = {
    # A job leaves two dead rows; behind 20,000 of them a claim takes about a millisecond more.
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_threshold": "20000",
    # Vacuums after inserts keep the visibility map, and so index-only scans of history.
    "autovacuum_vacuum_insert_scale_factor": "0.02",
    "autovacuum_analyze_scale_factor": "0.02",
    # A vacuum that pauses is overtaken by the claims.
    "autovacuum_vacuum_cost_delay": "0",
}
"""Parameters of a job table (https://www.postgresql.org/docs/current/sql-createtable.html#RELOPTION-AUTOVACUUM)."""


class JobTableStorage(Operation):
    """Set the storage parameters of a job model's table; on other databases than PostgreSQL, do nothing.

    ``operations = [JobTableStorage("emailjob")]``: it waits for no reader or writer, rewrites nothing,
    and its reverse gives the table the server's settings again.
    """

    reversible = True

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [], {"model_name": self.model_name}

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing: Django's state knows no storage."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        parameters = ", ".join(f"{name} = {value}" for name, value in STORAGE_PARAMETERS.items())
        self._alter(app_label, schema_editor, to_state, f"SET ({parameters})")

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._alter(app_label, schema_editor, to_state, f"RESET ({', '.join(STORAGE_PARAMETERS)})")

    def describe(self) -> str:
        return f"Have the table of {self.model_name} vacuumed by what changes"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name.lower()}_storage"

    def _alter(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState, change: str
    ) -> None:
        connection = schema_editor.connection
        model = state.apps.get_model(app_label, self.model_name)
        if connection.vendor == "postgresql" and self.allow_migrate_model(connection.alias, model):
            table = schema_editor.quote_name(model._meta.db_table)
            schema_editor.execute(f"ALTER TABLE {table} {change}")
