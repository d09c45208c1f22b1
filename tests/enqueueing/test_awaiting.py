"""Waiting for the end of a job, told by Redis and without it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction

from pleme_redis_django import JobStatus
from pleme_redis_django.configured_pools import configured_pool
from pleme_redis_django.enqueueing import awaiting
from pleme_redis_django.exceptions import (
    InvalidNumber,
    JobNotFound,
    JobUnsuccessful,
    JobWaitTimeout,
    WrongTransaction,
)
from pleme_redis_django.job_stores import job_store
from pleme_redis_django.jobs.interface.endings import Completed, Ending, Failed
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.models import Job
from pleme_redis_django.operations import cancel_jobs
from pleme_redis_django.orm_store.job_table import EVERY_JOB
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker
from tests.enqueueing.jobs import send

pytestmark = pytest.mark.django_db(transaction=True)

Wait = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["sync", "async"])
def wait(request: pytest.FixtureRequest) -> Wait:
    async def waited(job: Job, timeout: float = 60) -> Any:
        if request.param == "async":
            return await job.await_result(timeout)
        return await sync_to_async(job.wait)(timeout)

    return waited


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Event]]:
    """An event for each look at a row, and no look without a notice for as long as a wait in Redis may last."""
    events = [threading.Event() for _ in range(100)]
    look, count = awaiting._Look.run, iter(range(100))

    def counted(self: Any) -> bool:
        ended = look(self)
        events[next(count)].set()
        return ended

    monkeypatch.setattr(awaiting._Look, "run", counted)
    monkeypatch.setattr(awaiting, "LONGEST_LOOK_SECONDS", 4.0)
    yield events


def end_after(event: threading.Event, make: Callable[[Any], Ending]) -> threading.Thread:
    """Claim the only job, and end it as a worker does once the event is set."""

    def end() -> None:
        store = job_store(configured_pool("default"))
        (job,) = store.claim_jobs("0198a1b2-0000-7000-8000-000000000001", 1, EVERY_JOB)
        event.wait(30)
        assert list(store.finish_jobs([make(job)])) == [True]
        connections.close_all()

    thread = threading.Thread(target=end)
    thread.start()
    return thread


def completed(job: Any) -> Ending:
    return Completed(job_id=job.id, claim=job.claim, run_seconds=0.1, results_json='{"sent": 1}')


def failed(job: Any) -> Ending:
    failure = engine_failure("provider_error", "The provider is away.", job.job_type)
    return Failed(job_id=job.id, claim=job.claim, run_seconds=0.1, failure=failure)


async def enqueued() -> Job:
    return await sync_to_async(send.enqueue)(to="a")


async def test_a_wait_ends_with_the_notice_of_the_end_and_returns_the_results(
    wait: Wait, looks: list[threading.Event]
) -> None:
    job = await enqueued()
    thread = end_after(looks[1], completed)  # after the look that follows its registration
    assert await wait(job) == {"sent": 1}
    assert (job.status, job.completed_at is not None) == (JobStatus.COMPLETED, True)
    assert looks[2].is_set()
    assert not looks[3].is_set()
    thread.join()


async def test_a_wait_ends_without_redis_too(wait: Wait, settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": None}
    job = await enqueued()
    done = threading.Event()
    done.set()
    thread = end_after(done, completed)
    assert await wait(job) == {"sent": 1}
    thread.join()


async def test_a_wait_goes_on_when_redis_goes_away(wait: Wait, settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": "redis://127.0.0.1:1/0"}
    job = await enqueued()
    done = threading.Event()
    done.set()
    thread = end_after(done, completed)
    assert await wait(job) == {"sent": 1}
    thread.join()
    hint_breaker.reset()


async def test_the_end_of_a_failed_job_is_an_error_with_its_code(
    wait: Wait, looks: list[threading.Event]
) -> None:
    job = await enqueued()
    thread = end_after(looks[1], failed)
    with pytest.raises(JobUnsuccessful, match="ended FAILED with the code provider_error") as raised:
        await wait(job)
    assert (raised.value.status, raised.value.error_code) == ("FAILED", "provider_error")
    assert job.error_message == "The provider is away."
    thread.join()


async def test_a_cancelled_job_has_no_code(wait: Wait) -> None:
    job = await enqueued()
    await sync_to_async(cancel_jobs)(Job.objects.filter(pk=job.pk))
    with pytest.raises(JobUnsuccessful, match=r"ended CANCELLED\."):
        await wait(job)


async def test_a_notice_of_an_end_before_a_retry_ends_no_wait(
    wait: Wait, looks: list[threading.Event]
) -> None:
    job = await enqueued()
    thread = end_after(looks[1], failed)
    with pytest.raises(JobUnsuccessful):
        await wait(job)
    thread.join()
    await sync_to_async(Job.objects.filter(pk=job.pk).update)(status=JobStatus.QUEUED)
    thread = end_after(looks[4], completed)
    assert await wait(job) == {"sent": 1}
    thread.join()


async def test_who_waits_too_short_is_told_so(wait: Wait) -> None:
    job = await enqueued()
    with pytest.raises(JobWaitTimeout, match=r"is QUEUED after 0\.02 s. It goes on") as raised:
        await wait(job, 0.02)
    assert isinstance(raised.value, TimeoutError)


async def test_a_job_that_is_gone_is_not_waited_for(wait: Wait) -> None:
    job = await enqueued()
    await sync_to_async(Job.objects.filter(pk=job.pk).delete)()
    with pytest.raises(JobNotFound):
        await wait(job)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), 3_601, None, "10"])
async def test_a_wait_has_a_bound(wait: Wait, timeout: Any) -> None:
    job = await enqueued()
    with pytest.raises(InvalidNumber, match="a number from 0 to 3,600"):
        await wait(job, timeout)


def test_a_wait_in_a_transaction_would_wait_for_its_own_commit() -> None:
    with transaction.atomic():
        job = send.enqueue(to="a")
        with pytest.raises(WrongTransaction, match="Wait after the commit"):
            job.wait(1)
