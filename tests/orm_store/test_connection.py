"""Connections of engine threads after failures: when they are dropped, and when they are kept."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.management.runworkers.banner import banner
from pleme_redis_django.management.runworkers.options import RunOptions
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore, OrmWorkerRegistry
from pleme_redis_django.orm_store.connection import reconnecting
from tests.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)


def _only_read() -> None:
    """Make this session what one to a standby is."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")


@pytest.mark.parametrize("what", ["claim", "heartbeat", "elect"])
def test_a_session_that_only_reads_is_dropped(kept_for_ever: None, what: str) -> None:
    job = make_job()
    store, registry, worker = OrmJobStore(Job), OrmWorkerRegistry(), str(uuid4())

    def write() -> Any:
        if what == "claim":
            return [claimed.id for claimed in store.claim_jobs(worker, 1, JobSelection())] == [job.id]
        if what == "heartbeat":
            return registry.heartbeat(worker, 0)
        return registry.elect("sweeper", worker, 60)

    _only_read()
    with pytest.raises(DatabaseError):
        write()
    assert write()


def test_a_refused_row_costs_no_connection(kept_for_ever: None) -> None:
    session = connection.connection
    with pytest.raises(DatabaseError), reconnecting("default"), transaction.atomic():
        Job.objects.filter(pk=make_job().pk).update(status="x" * 1000)
    assert connection.connection is session


def test_queries_of_debug_are_forgotten(settings: Any) -> None:
    """Django keeps the last 9,000 of a connection, and drops them where a request begins."""
    settings.DEBUG = True
    with reconnecting("default"):
        Job.objects.count()
    assert len(connection.queries_log) == 0
    with CaptureQueriesContext(connection) as captured, reconnecting("default"):
        Job.objects.count()
    assert len(captured) == 1


def test_a_worker_tells_that_debug_is_on(settings: Any) -> None:
    options = RunOptions(
        pools=("default",),
        processes=1,
        overrides={},
        burst=False,
        reload=False,
        log_format="text",
        release="",
        max_silence_seconds=0,
    )
    assert "DEBUG is on" not in banner([], options)
    settings.DEBUG = True
    assert "DEBUG is on" in banner([], options)
