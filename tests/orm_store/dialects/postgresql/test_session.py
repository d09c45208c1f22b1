"""A session of PostgreSQL: what its transactions wait for at most."""

from __future__ import annotations

import threading

import pytest
from django.db import DatabaseError, connection

from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity
from pleme_redis_django.models import WorkerProcess
from pleme_redis_django.orm_store import OrmWorkerRegistry
from pleme_redis_django.orm_store.connection import writing
from pleme_redis_django.orm_store.dialects.postgresql import session
from pleme_redis_django.orm_store.dialects.postgresql.session import LOCK_WAIT
from tests.rows import ago
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_the_engine_writes_waits_for_no_lock_for_long(kept_for_ever: None) -> None:
    with connection.cursor() as cursor:
        with writing("default"):
            cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
            assert cursor.fetchone() == (LOCK_WAIT, "30s")
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
        assert cursor.fetchone() == ("0", "0")
        cursor.execute("SET statement_timeout = '3s'")
        with writing("default"):
            cursor.execute("SELECT current_setting('statement_timeout')")
            assert cursor.fetchone() == ("3s",)
    connection.close()


def test_a_process_that_stands_still_in_its_heartbeat_is_declared_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "IDLE_WAIT", "200ms")
    session.bounds_sql.cache_clear()
    identity = WorkerIdentity(WorkerDescription(queues=("*",)))
    registry = OrmWorkerRegistry()
    registry.register(identity.describe())
    WorkerProcess.objects.update(lease_until=ago(1))
    holds, may_go_on = threading.Event(), threading.Event()
    refused: list[DatabaseError] = []

    def stand_still() -> None:
        try:
            with writing("default"):
                WorkerProcess.objects.update(running=1)
                holds.set()
                may_go_on.wait(60)
        except DatabaseError as error:
            refused.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=stand_still)
    thread.start()
    assert holds.wait(20)
    try:
        wait_until(lambda: _swept(registry) == [identity.worker_id], "it is declared dead")
    finally:
        may_go_on.set()
        thread.join()
        session.bounds_sql.cache_clear()
    assert refused, "What it wrote last is not written."


def _swept(registry: OrmWorkerRegistry) -> list[str]:
    try:
        return list(registry.sweep())
    except DatabaseError:
        return []
