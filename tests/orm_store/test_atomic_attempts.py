"""Atomic attempts: the handler's writes and its ending commit together, or neither does."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, connections, transaction

from pleme_redis_django import Job, JobStatus, WorkerPoolConfig
from pleme_redis_django.exceptions import EnqueueError, InvalidJobDefinition, JobTimeout
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Completed, Ending, GivenBack
from pleme_redis_django.jobs.interface.store import JobSelection
from pleme_redis_django.jobs.worker.interrupts import Interruptible
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.orm_store import DatabaseScope, OrmJobStore
from pleme_redis_django.testing import MemoryJobStore
from tests.enqueueing import jobs
from tests.jobs.recording import FunctionExecutor, claimed, context_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sqlite"])


class Attempt:
    """One atomic attempt of a stored job, run as a lane runs it."""

    def __init__(self, handler: Callable[[Any], Any], using: str = "default") -> None:
        Job.objects.using(using).create(product="default", job_type="test", configuration={"atomic": True})
        self.using = using
        self.store = OrmJobStore(Job, using=using)
        (self.job,) = self.store.claim_jobs(str(uuid.uuid4()), 1, JobSelection())
        self.runner = JobRunner(
            FunctionExecutor(handler), WorkerPoolConfig(), scope=DatabaseScope(), store=self.store
        )

    def run(self) -> Ending:
        assert self.job.claim is not None
        context = JobContext(self.job, self.job.claim, lambda context: None)
        context.bounds = self.runner.bounds_of(self.job)
        return self.runner.run(context)

    @property
    def row(self) -> Any:
        return Job.objects.using(self.using).get()


def make_group(job: Any) -> str:
    Group.objects.create(name="by the handler")
    return "made"


def groups() -> int:
    return Group.objects.count()


@pytest.mark.parametrize("using", ["default", "sqlite"])
def test_writes_and_ending_are_one_commit(using: str) -> None:
    def handler(job: Any) -> str:
        assert connections[using].in_atomic_block
        Group.objects.using(using).create(name="by the handler")
        return "made"

    attempt = Attempt(handler, using)
    ending = attempt.run()
    assert isinstance(ending, Completed)
    assert (attempt.row.status, attempt.row.results) == (JobStatus.COMPLETED, "made")
    assert Group.objects.using(using).count() == 1
    # What the finisher writes once more is known as its own.
    assert list(attempt.store.finish_jobs([ending])) == [True]


def test_a_refused_ending_rolls_the_writes_back() -> None:
    """Another worker has the job by now: what this one wrote would be there twice."""

    attempt = Attempt(make_group)
    assert attempt.job.claim is not None
    attempt.store.finish_jobs([GivenBack(job_id=attempt.job.id, claim=attempt.job.claim)])
    ending = attempt.run()
    assert groups() == 0
    assert attempt.row.status == JobStatus.QUEUED
    assert list(attempt.store.finish_jobs([ending])) == [False]


def test_a_timeout_that_comes_as_the_ending_commits_changes_nothing() -> None:
    attempt, thread, sent = Attempt(make_group), Interruptible(), []
    assert attempt.job.claim is not None
    context = JobContext(attempt.job, attempt.job.claim, lambda context: None)
    context.bounds = attempt.runner.bounds_of(attempt.job)
    finish_jobs = attempt.store.finish_jobs

    def late(endings: Any) -> Any:
        context.timed_out = True
        sent.append(thread.interrupt(context, JobTimeout))
        return finish_jobs(endings)

    attempt.store.finish_jobs = late
    assert isinstance(attempt.runner.run(context, thread), Completed)
    assert (sent, groups(), attempt.row.status) == ([False], 1, JobStatus.COMPLETED)


def test_an_error_rolls_the_writes_back_and_is_retried() -> None:
    def handler(job: Any) -> None:
        make_group(job)
        raise KeyError("x")

    attempt = Attempt(handler)
    ending: Any = attempt.run()
    assert (groups(), ending.failure.error_code, attempt.row.status) == (0, "KeyError", JobStatus.RUNNING)


def test_a_result_that_cannot_be_stored_rolls_the_writes_back() -> None:
    def handler(job: Any) -> Any:
        make_group(job)
        return object()

    ending: Any = Attempt(handler).run()
    assert (groups(), ending.failure.error_code) == (0, "invalid_result")


def by_set_rollback(job: Any) -> None:
    make_group(job)
    transaction.set_rollback(True)


def by_a_swallowed_error(job: Any) -> None:
    make_group(job)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM there_is_no_such_table")
    except DatabaseError:
        pass


def by_its_own_statement(job: Any) -> None:
    make_group(job)
    with connection.cursor() as cursor:
        cursor.execute("ROLLBACK")


@pytest.mark.parametrize("handler", [by_set_rollback, by_a_swallowed_error, by_its_own_statement])
def test_a_handler_that_rolls_back_itself_does_not_complete(handler: Callable[[Any], None]) -> None:
    attempt = Attempt(handler)
    ending: Any = attempt.run()
    assert not isinstance(ending, Completed)
    assert (groups(), attempt.row.status) == (0, JobStatus.RUNNING)
    if handler is by_set_rollback:
        assert ending.failure.error_code == "rolled_back"
        assert 'the database "default"' in ending.failure.message
    # The thread's next query is in no leftover of it.
    assert not connection.in_atomic_block


def test_an_error_that_a_block_of_the_handler_undoes_does_no_harm() -> None:
    def handler(job: Any) -> None:
        make_group(job)
        try:
            with transaction.atomic():
                Group.objects.create(name="by the handler")
        except DatabaseError:
            pass

    attempt = Attempt(handler)
    assert isinstance(attempt.run(), Completed)
    assert (groups(), attempt.row.status) == (1, JobStatus.COMPLETED)


def test_a_write_to_another_database_is_refused_and_both_are_named() -> None:
    def handler(job: Any) -> None:
        make_group(job)
        assert Group.objects.using("sqlite").count() == 0  # Reading is welcome.
        Group.objects.using("sqlite").create(name="elsewhere")

    ending: Any = Attempt(handler).run()
    assert ending.failure.exception_class.endswith("WrongTransaction")
    assert '"default"' in ending.failure.message and '"sqlite"' in ending.failure.message
    assert groups() == 0
    # Outside of the attempt it is allowed again.
    Group.objects.using("sqlite").create(name="elsewhere")


def test_a_store_without_a_database_refuses_atomic_jobs() -> None:
    context = context_of(claimed(MemoryJobStore(), configuration={"atomic": True}))
    runner = JobRunner(
        FunctionExecutor(make_group), WorkerPoolConfig(), scope=DatabaseScope(), store=MemoryJobStore()
    )
    context.bounds = runner.bounds_of(context.job)
    ending: Any = runner.run(context)
    assert (groups(), ending.failure.error_code) == (0, "not_atomic")


@pytest.mark.parametrize("option", ["atomic", "isolated"])
def test_an_async_handler_can_be_neither_atomic_nor_isolated(option: str) -> None:
    options: dict[str, Any] = {option: True}
    with pytest.raises(InvalidJobDefinition, match=f"{option}=True is for plain functions"):
        definition_of(jobs.asend.function, **options)
    with pytest.raises(EnqueueError, match=f"{option}=True is for plain functions"):
        jobs.asend.using(**options).enqueue(to="a")
