"""Prepared inserts: an enqueue that a connection repeats is planned once, and whatever comes between costs no job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, connections, transaction

from pleme_redis_django import Job
from pleme_redis_django.enqueueing import rows
from pleme_redis_django.orm_store.dialects.postgresql import prepared
from pleme_redis_django.orm_store.dialects.postgresql.prepared import USES_BEFORE
from tests.enqueueing.jobs import send, unique_waiting

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = "100 % of 'it' \\ $1 %s"


@pytest.fixture(autouse=True)
def fresh_connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What one test has planned or lost is not there for the next."""
    monkeypatch.setattr(prepared, "_aliases_without_names", set())
    connection.close()
    yield
    connection.close()


def names() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements ORDER BY prepare_time")
        return [name for (name,) in cursor.fetchall()]


def enqueue(count: int = USES_BEFORE + 1, **options: Any) -> None:
    """Enqueue one after the other; each is stored once, as it was given."""
    for number in range(count):
        before = Job.objects.count()
        job = send.using(**options).enqueue(to=f"{number} {TEXT}")
        assert Job.objects.count() == before + 1
        row = Job.objects.get(pk=job.pk)
        assert row.parameters == {"to": f"{number} {TEXT}"} == job.parameters
        assert {name: getattr(row, name) for name in options} == options


def test_an_enqueue_that_is_repeated_is_planned_once() -> None:
    enqueue(USES_BEFORE)
    assert names() == []
    enqueue(3)
    assert len(names()) == 1
    enqueue(metadata={"text": TEXT})
    planned = names()
    assert len(planned) == 2
    enqueue(queue_name="email", priority=-5)
    assert names() == planned


@pytest.mark.parametrize("loss", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_a_server_connection_without_the_plan_costs_no_job_and_the_process_one_error(loss: str) -> None:
    enqueue()
    with connection.cursor() as cursor:
        cursor.execute(loss)
    enqueue()
    connection.close()
    enqueue()
    assert names() == []


def test_a_server_connection_that_has_the_plan_already_costs_no_job() -> None:
    enqueue()
    (name,) = names()
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE {name} AS SELECT 1")
    enqueue()
    assert names() == [name]


def test_a_new_connection_plans_again() -> None:
    enqueue()
    connection.close()
    enqueue()
    assert len(names()) == 1


def test_a_plan_is_no_part_of_a_transaction() -> None:
    with transaction.atomic():
        enqueue()
    assert names() == []
    enqueue()
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    with transaction.atomic():
        enqueue(1)
        transaction.set_rollback(True)
    assert (names(), Job.objects.count()) == ([], 2 * (USES_BEFORE + 1))


def test_many_at_once_and_unique_ones_get_no_plan() -> None:
    for number in range(USES_BEFORE + 2):
        unique_waiting.enqueue(key=number)
        send.enqueue_many([{"to": "a"}, {"to": "b"}])
    assert names() == []


def test_a_migration_under_a_plan_costs_no_job() -> None:
    enqueue()
    change = "ALTER TABLE pleme_redis_django_job ALTER COLUMN job_type TYPE {}"
    with connection.cursor() as cursor:
        cursor.execute(change.format("text"))
    try:
        enqueue()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(change.format("varchar(200)"))
    enqueue()


@pytest.mark.parametrize("by", ["a backend of its own", "a patched connection"])
def test_an_enqueue_writes_to_the_schema_that_is_chosen_with_its_cursor(
    monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """As django-tenants does it: another tenant means another search path, which is set when a cursor is opened."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA tenant")
        cursor.execute(
            "CREATE TABLE tenant.pleme_redis_django_job (LIKE pleme_redis_django_job INCLUDING ALL)"
        )
    try:
        enqueue()
        open_cursor, chosen = connection._cursor, "tenant"

        def open_in_chosen(name: str | None = None) -> Any:
            cursor = open_cursor(name)
            cursor.execute(f"SET search_path TO {chosen}, public")
            return cursor

        with monkeypatch.context() as patch:
            if by == "a backend of its own":
                of_tenants = {"_cursor": lambda _self, name=None: open_in_chosen(name)}
                wrapper: Any = connections["default"]
                patch.setattr(wrapper, "__class__", type("OfTenants", (type(wrapper),), of_tenants))
            else:
                patch.setattr(connection, "_cursor", open_in_chosen)
            send.enqueue(to="tenant")
            chosen = "public"
            send.enqueue(to="public")
            chosen = "tenant"
            send.enqueue(to="tenant")
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM tenant.pleme_redis_django_job")
            assert cursor.fetchone() == (2,)
            cursor.execute("SELECT count(*) FROM public.pleme_redis_django_job")
            assert cursor.fetchone() == (USES_BEFORE + 2,)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA tenant CASCADE")


def test_a_refused_row_is_raised_and_the_plan_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue()
    planned, taken = names(), uuid4()
    with monkeypatch.context() as patch:
        patch.setattr(rows, "new_job_id", lambda: taken)
        enqueue(1)
        with pytest.raises(IntegrityError):
            send.enqueue(to="again")
    enqueue()
    assert names() == planned


def test_an_insert_that_waited_for_the_disk_keeps_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue()
    planned = names()
    monkeypatch.setattr(prepared, "SLOW_SECONDS", -60.0)
    enqueue(1)
    assert names() == planned
    monkeypatch.setattr(prepared, "SLOW_SECONDS", 60.0)
    enqueue(1)
    assert names() == planned


def test_wrappers_and_a_patched_cursor_see_each_enqueue(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor of planned statements is kept, and whoever watches statements still sees this one."""
    enqueue()
    seen: list[str] = []

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(watch):
        send.enqueue(to="watched")
    assert len(seen) == 1 and seen[0].startswith("EXECUTE pleme_")
    opened: list[None] = []
    open_cursor = connection.cursor

    def noted_cursor() -> Any:
        opened.append(None)
        return open_cursor()

    monkeypatch.setattr(connections["default"], "cursor", noted_cursor)
    send.enqueue(to="watched")
    assert opened == [None]


def test_a_connection_that_went_away_between_two_requests_costs_no_job() -> None:
    """As CONN_HEALTH_CHECKS has it: the first statement of a request looks whether the connection works."""
    enqueue()
    wrapper: Any = connections["default"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    other = wrapper.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])
    other.close()
    wrapper.health_check_enabled, wrapper.health_check_done = True, False
    try:
        enqueue(1)
    finally:
        wrapper.health_check_enabled = False
