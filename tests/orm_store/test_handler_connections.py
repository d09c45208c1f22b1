"""Connections of handlers after a job: when they are dropped, and when they are kept."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from pleme_redis_django import Job, WorkerPoolConfig
from pleme_redis_django.exceptions import JobTimeout
from pleme_redis_django.jobs.worker.interrupts import Interruptible
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.orm_store import DatabaseScope
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import FunctionExecutor, claimed, context_of
from tests.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)


def _only_read() -> None:
    """Make this session what one to a standby is."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")


def test_a_handlers_session_that_only_reads_is_dropped(kept_for_ever: None) -> None:
    scope = DatabaseScope()
    connection.close()
    scope.enter()
    make_job()
    _only_read()
    with pytest.raises(DatabaseError):
        make_job()
    scope.leave()
    scope.enter()
    make_job()
    scope.leave()


def test_a_timeout_in_an_open_transaction_rolls_it_back_and_closes_the_connection(
    kept_for_ever: None,
) -> None:
    begun, thread, endings, closed = threading.Event(), Interruptible(), [], []

    def handler(job: Any) -> None:
        with transaction.atomic():
            make_job()
            begun.set()
            while True:
                pass

    runner = JobRunner(FunctionExecutor(handler), WorkerPoolConfig(), scope=DatabaseScope())
    context = context_of(claimed(MemoryJobStore()))

    def work() -> None:
        thread.bind()
        endings.append(runner.run(context, thread))
        closed.append(connection.connection is None)

    worker = threading.Thread(target=work)
    worker.start()
    assert begun.wait(20)
    context.timed_out = True
    assert runner.interrupt(context, thread, JobTimeout)
    worker.join(20)
    assert [ending.failure.error_code for ending in endings] == ["timeout"]
    assert closed == [True]
    assert not Job.objects.exists()
