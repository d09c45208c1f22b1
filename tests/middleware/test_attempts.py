"""Attempts in their middleware: what it sees, what it may change, and what becomes of one that is wrong."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job, JobAttempt
from pleme_redis_django.orm_store.store import OrmJobStore
from pleme_redis_django.testing import drain_jobs
from tests.middleware import classes
from tests.middleware.conftest import UseMiddleware
from tests.workload.jobs import add, add_slowly, fail

pytestmark = pytest.mark.django_db

HANDLERS = pytest.mark.parametrize("handler", [add, add_slowly], ids=["sync", "async"])


def ended(handler: Any) -> Job:
    """Return the job of one attempt."""
    handler.using(max_retries=0).enqueue(1, 2)
    (attempt,) = drain_jobs()
    job: Job = attempt.job
    return job


@HANDLERS
def test_the_first_is_the_outermost(use: UseMiddleware, seen: list[Any], handler: Any) -> None:
    use(classes.Outer, classes.Inner)
    assert ended(handler).results == 3
    assert seen[4:] == ["outer begins", "inner begins", "inner ends with 3", "outer ends with 3"]


@HANDLERS
def test_parameters_and_result_can_be_changed_and_metadata_seen(
    use: UseMiddleware, seen: list[Any], handler: Any, django_assert_num_queries: Any
) -> None:
    use(classes.Changing)
    job = ended(handler)
    assert (job.results, job.parameters) == (2 + 100 + 1000, {"left": 2, "right": 2})
    assert seen == [{"shop": "north"}]


def test_a_claim_loads_what_middleware_sees(use: UseMiddleware, django_assert_num_queries: Any) -> None:
    use(classes.Changing)
    add.enqueue(1, 2)
    store = OrmJobStore(Job, using="default")
    [job] = store.claim_jobs(str(uuid.uuid4()), 1, JobSelection())
    with django_assert_num_queries(0):
        assert job.metadata == {"shop": "north"}


@HANDLERS
def test_what_it_raises_is_the_failure_of_the_attempt(use: UseMiddleware, handler: Any) -> None:
    use(classes.Outer, classes.Raises)
    handler.using(max_retries=1).enqueue(1, 2)
    (attempt,) = drain_jobs()
    assert attempt.job.status == JobStatus.PENDING
    kept = JobAttempt.objects.get()
    assert (kept.error_code, kept.message) == ("provider_error", "the tenant is away")
    assert "classes.py" in kept.traceback


@HANDLERS
def test_it_drops_a_job_by_discard(use: UseMiddleware, handler: Any) -> None:
    use(classes.Drops)
    assert ended(handler).status == JobStatus.CANCELLED


def test_the_failure_of_a_handler_goes_through_it(use: UseMiddleware, seen: list[Any]) -> None:
    use(classes.Outer)
    fail.using(max_retries=0).enqueue()
    (attempt,) = drain_jobs()
    assert attempt.job.error_message == "as asked"
    assert seen[2:] == ["outer begins"]


@HANDLERS
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (classes.Forgets, "returned without"),
        (classes.CallsTwice, "called call_next a second time"),
        (classes.PassesNone, "called call_next with a NoneType"),
    ],
)
def test_one_that_is_wrong_fails_the_attempt_and_is_named(
    use: UseMiddleware, handler: Any, kind: type, why: str
) -> None:
    handler.using(max_retries=0).enqueue(1, 2)
    use(classes.Nothing, kind, classes.Inner)
    (attempt,) = drain_jobs()
    assert attempt.job.status == JobStatus.FAILED
    assert attempt.job.error_details["error_code"] == "broken_middleware"
    assert f"{kind.__name__}." in attempt.job.error_message and why in attempt.job.error_message


def test_an_async_one_that_forgets_to_await_has_not_called_on(use: UseMiddleware) -> None:
    use(classes.ForgetsToAwait)
    job = ended(add_slowly)
    assert "aattempt() returned without await call_next" in job.error_message
    assert ended(add).results == 3


@pytest.mark.django_db(transaction=True)
@HANDLERS
def test_atomic_jobs_go_through_it_too(use: UseMiddleware, seen: list[Any], handler: Any) -> None:
    use(classes.Outer)
    if handler is add:
        handler = handler.using(atomic=True)
    assert ended(handler).results == 3
    assert seen[-1] == "outer ends with 3"
