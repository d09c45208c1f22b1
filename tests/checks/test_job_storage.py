"""The storage of job tables: what the migrations set, and the check of tables that have the server's settings."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Tags, registry, run_checks
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.writer import MigrationWriter

from pleme_redis_django.checks.job_storage import check_job_storage
from pleme_redis_django.models import Job, WorkerProcess
from pleme_redis_django.orm_store import OrmWorkerRegistry
from pleme_redis_django.storage import STORAGE_PARAMETERS, JobTableStorage
from tests.rows import BACKENDS, make_worker

pytestmark = pytest.mark.django_db(databases=BACKENDS)


def storage_of(table: str) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = %s", [table])
        (options,) = cursor.fetchone()
    return dict(option.split("=") for option in options or ())


def warned_of() -> list[Any]:
    return [message.obj.__name__ for message in check_job_storage(databases=["default"])]


@pytest.mark.parametrize("table", ["pleme_redis_django_job", "shop_emailjob"])
def test_the_migrations_have_job_tables_vacuumed_by_what_changes(table: str) -> None:
    assert storage_of(table) == STORAGE_PARAMETERS


@pytest.mark.parametrize("using", BACKENDS)
def test_the_operation_is_reversible_and_harmless_elsewhere(using: str) -> None:
    state = MigrationLoader(connections[using]).project_state()
    operation = JobTableStorage("job")
    editor = connections[using].schema_editor(atomic=False)  # not entered: SQLite's refuses a transaction
    operation.database_backwards("pleme_redis_django", editor, state, state)
    assert storage_of("pleme_redis_django_job") == ({} if using == "default" else STORAGE_PARAMETERS)
    operation.database_forwards("pleme_redis_django", editor, state, state)
    assert storage_of("pleme_redis_django_job") == STORAGE_PARAMETERS


def test_a_migration_can_be_written_with_it() -> None:
    text, imports = MigrationWriter.serialize(JobTableStorage("emailjob"))
    assert "JobTableStorage" in text and "import pleme_redis_django.storage" in imports


def test_a_table_with_the_settings_of_the_server_is_warned_of() -> None:
    assert "Job" not in warned_of()
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {Job._meta.db_table} RESET ({', '.join(STORAGE_PARAMETERS)})")
    assert "Job" in warned_of()
    messages = run_checks(tags=[Tags.database], databases=["default"])
    (message,) = [one for one in messages if one.obj is Job]
    assert message.id == "pleme_redis_django.W031" and 'JobTableStorage("job")' in str(message.hint)


def test_apps_that_are_set_up_anew_register_no_check_twice(settings: Any) -> None:
    """As a test that overrides INSTALLED_APPS has them: each message of the package was then told twice."""
    registered = set(registry.registry.get_checks(include_deployment_checks=True))
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS]
    assert set(registry.registry.get_checks(include_deployment_checks=True)) == registered


def test_the_database_is_asked_only_when_it_may_be() -> None:
    assert list(check_job_storage()) == []
    assert list(check_job_storage(databases=["sqlite"])) == []


def test_a_heartbeat_touches_no_index() -> None:
    worker = make_worker()
    indexed = {
        column
        for constraint in connection.introspection.get_constraints(
            connection.cursor(), WorkerProcess._meta.db_table
        ).values()
        if constraint["index"]
        for column in constraint["columns"]
    }
    OrmWorkerRegistry().heartbeat(str(worker.id), 1)
    assert indexed.isdisjoint({"heartbeat_at", "lease_until", "running", "async_running"})
