"""The look at the tables before any worker process starts."""

from __future__ import annotations

import signal

import pytest
from django.db import connection

from tests.integration.conftest import StartWorkers

pytestmark = pytest.mark.process


NO_DATABASE = {"DATABASE_URL": "postgresql:///none?host=/nowhere"}


def test_a_burst_without_its_database_ends_with_one_line(start_workers: StartWorkers) -> None:
    workers = start_workers("--burst", environment=NO_DATABASE)
    assert workers.exit_code() == 1
    last = workers.output().splitlines()[-1]
    assert last.startswith('CommandError: The database "default" cannot be used: connection is bad: ')
    assert last.endswith(". Start it, or correct DATABASES.")
    assert "Traceback" not in workers.output()
    assert "worker started" not in workers.output()


def test_workers_without_their_database_say_why_and_keep_trying(start_workers: StartWorkers) -> None:
    workers = start_workers(environment=NO_DATABASE)
    output = workers.wait_for_output("the database does not answer")
    assert "The workers keep trying." in output
    assert "why=OperationalError: connection is bad: " in output
    assert "Traceback" not in workers.output()
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0


@pytest.mark.parametrize("arguments", [(), ("--burst",)])
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE {pleme_redis_django_workerprocess} RENAME TO {elsewhere}",
        "ALTER TABLE pleme_redis_django_job RENAME COLUMN {crash_count} TO {elsewhere}",
    ],
    ids=["table", "column"],
)
def test_a_project_that_was_not_migrated_is_refused(
    start_workers: StartWorkers, arguments: tuple[str, ...], change: str
) -> None:
    before, after = change.replace("{", "").replace("}", ""), _undone(change)
    with connection.cursor() as cursor:
        cursor.execute(before)
    try:
        workers = start_workers(*arguments)
        assert workers.exit_code() == 1
        assert "Run manage.py migrate." in workers.output()
        assert "Traceback" not in workers.output()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(after)


def _undone(change: str) -> str:
    start, name, middle, elsewhere, _end = change.replace("{", "}").split("}")
    return start + elsewhere + middle + name
