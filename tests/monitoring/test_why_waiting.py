"""Why a job waits: each thing that a claim asks for, alone and together."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pleme_redis_django.jobs.interface.endings import Snoozed
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job, QueuePause
from pleme_redis_django.monitoring.why_waiting import why_waiting
from pleme_redis_django.operations import pause_queue, resume_queue
from pleme_redis_django.orm_store import OrmJobStore
from tests.monitoring.waiting_jobs import codes, only, waiting
from tests.rows import ago, make_worker
from tests.workload.models import EmailJob

pytestmark = pytest.mark.django_db


def test_a_ready_job_that_nothing_keeps_waiting_is_next() -> None:
    make_worker()
    reason = only(waiting())
    assert (reason.code, reason.fix) == ("next", "")


def test_a_job_that_a_schedule_starts_a_little_later_names_it() -> None:
    make_worker()
    due = Now() + timedelta(seconds=180)
    metadata = {"schedule": "nightly", "tick_at": "2026-11-27T02:00:00+00:00"}
    reason = only(waiting(status=JobStatus.PENDING, run_after=due, metadata=metadata))
    assert reason.text.startswith("The schedule nightly made it, and it is due in ")


def test_a_scheduled_job_is_not_due() -> None:
    make_worker()
    job = waiting(status=JobStatus.PENDING, run_after=Now() + timedelta(seconds=180))
    reason = only(job)
    assert (reason.code, reason.since) == ("not_due", job.created_at)
    assert reason.text in ("It is scheduled, and due in 3 m.", "It is scheduled, and due in 2 m 59 s.")
    assert "Run it now" in reason.fix


def test_a_job_that_its_handler_put_off_says_how_often_and_until_when() -> None:
    job, store = waiting(), OrmJobStore(Job)
    [claimed] = store.claim_jobs(str(uuid.uuid4()), 1, JobSelection())
    ending = Snoozed(job_id=job.id, claim=claimed.claim, retry_count=0, delay_seconds=180)
    assert store.finish_jobs([ending]) == [True]
    job.refresh_from_db()
    reason = next(one for one in why_waiting(job) if one.code == "put_off")
    until = f"{timezone.localtime(job.run_after):%Y-%m-%d %H:%M:%S}"
    assert reason.text.startswith(f"Its handler has put it off once, now until {until}: it is due in ")
    assert reason.since == job.updated_at


@pytest.mark.parametrize(
    "fields",
    [
        {"failed_at": Now(), "updated_at": Now(), "claimed_at": ago(5), "retry_count": 1},
        {"failed_at": ago(60), "claimed_at": None},
    ],
    ids=["failed since", "given back"],
)
def test_a_job_that_was_put_off_before_waits_for_something_else(fields: dict[str, Any]) -> None:
    job = waiting(status=JobStatus.PENDING, run_after=Now() + timedelta(seconds=180), snoozes=2, **fields)
    assert "not_due" in codes(job)


def test_a_retry_is_not_due_and_says_which_one() -> None:
    make_worker()
    job = waiting(
        status=JobStatus.PENDING, run_after=Now() + timedelta(hours=2), retry_count=2, failed_at=ago(9)
    )
    reason = only(job)
    assert (reason.code, reason.since) == ("not_due", job.failed_at)
    assert "retry 2 of 3" in reason.text


def test_a_job_that_has_become_due_and_was_not_made_ready_yet() -> None:
    make_worker()
    job = waiting(status=JobStatus.PENDING, run_after=ago(1))
    assert (only(job).code, only(job).since) == ("due", job.run_after)


def test_a_paused_queue_says_who_why_and_since_when() -> None:
    make_worker()
    job = waiting(queue_name="email")
    pause_queue("email", reason="the provider is away", paused_by="ana")
    reason = only(job)
    assert (reason.code, reason.text) == ("paused", "The queue email was paused by ana: the provider is away")
    assert (reason.since, reason.fix) == (QueuePause.objects.get().paused_at, "Resume the queue.")
    resume_queue("email")
    assert codes(job) == ["next"]


def test_only_pauses_of_the_jobs_own_queue_product_and_model_count() -> None:
    make_worker()
    job = waiting(queue_name="email", product="ours")
    pause_queue("images")
    pause_queue("email", product="theirs")
    pause_queue("email", model=EmailJob)
    assert codes(job) == ["next"]
    pause_queue("email", product="ours")
    assert only(job).text == "The queue email of ours was paused."


def test_a_type_that_no_pool_knows() -> None:
    make_worker()
    reason = only(waiting(job_type="shop.jobs.not_deployed_yet"))
    assert reason.code == "unknown_type"
    assert "shop.jobs.not_deployed_yet" in reason.text


def test_without_a_live_worker() -> None:
    make_worker(died_at=ago(5))
    make_worker(lease_until=ago(5))
    assert only(waiting()).code == "no_worker"


def test_a_suspect_runs_alone_and_a_job_that_was_there_once_is_none() -> None:
    make_worker()
    reason = only(waiting(crash_count=2))
    assert reason.code == "runs_alone"
    assert "died 2 times" in reason.text
    assert codes(waiting(crash_count=1, queue_name="other")) == ["next"]


def test_a_suspect_by_unseen_deaths_says_so() -> None:
    make_worker()
    reason = only(waiting(crash_count=2, unseen_deaths=6))
    assert reason.code == "runs_alone"
    assert "6 worker processes in a row vanished" in reason.text


def test_several_reasons_at_once() -> None:
    job = waiting(status=JobStatus.PENDING, run_after=Now() + timedelta(hours=1), job_type="unknown")
    pause_queue("default")
    assert codes(job) == ["not_due", "paused", "unknown_type", "no_worker"]


@pytest.mark.parametrize("extra", [0, 30])
def test_the_number_of_queries_is_constant(extra: int) -> None:
    job = waiting()
    for number in range(extra):
        make_worker(queues=["default", f"queue-{number}"])
        waiting(run_after=ago(60))
        pause_queue(f"queue-{number}")
    make_worker()
    with CaptureQueriesContext(connections["default"]) as queries:
        why_waiting(job)
    assert len(queries) == 4
