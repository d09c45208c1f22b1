"""Run now, reschedule, priority and queue: what they change, what they leave alone, whom they wake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from pleme_redis_django.exceptions import EnqueueError, InvalidName, InvalidNumber
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job
from pleme_redis_django.operations import (
    WAITING_STATUSES,
    achange_priority,
    achange_queue,
    areschedule_jobs,
    arun_jobs_now,
    change_priority,
    change_queue,
    reschedulable_jobs,
    reschedule_jobs,
    run_jobs_now,
    runnable_jobs,
)
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.redis_state.wakeups.job_queue import JobQueue
from tests.rows import BACKENDS, ago, make_job

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]

TOMORROW = timedelta(days=1)
OTHER_STATUSES = sorted(set(JobStatus) - set(WAITING_STATUSES))


def jobs(using: str):
    return Job.objects.using(using)


def test_a_scheduled_job_is_made_ready_now(using: str) -> None:
    job = make_job(using, status=JobStatus.PENDING, run_after=timezone.now() + TOMORROW, retry_count=2)
    assert runnable_jobs(jobs(using)).get() == job
    assert run_jobs_now(jobs(using)) == 1
    job.refresh_from_db()
    assert (job.status, job.retry_count) == (JobStatus.QUEUED, 2)
    assert job.run_after <= timezone.now() + timedelta(seconds=1)
    claimed = OrmJobStore(Job, using=using).claim_next_job("00000000-0000-0000-0000-000000000001")
    assert claimed is not None and claimed.id == job.id


@pytest.mark.parametrize("status", sorted(set(JobStatus) - {JobStatus.PENDING}))
def test_only_a_pending_job_is_made_ready(using: str, status: JobStatus) -> None:
    job = make_job(using, status=status)
    assert run_jobs_now(jobs(using)) == 0
    assert runnable_jobs(jobs(using)).count() == 0
    before = job.updated_at
    job.refresh_from_db()
    assert (job.status, job.updated_at) == (status, before)


@pytest.mark.parametrize("status", WAITING_STATUSES)
def test_a_waiting_job_is_rescheduled_by_the_databases_clock(using: str, status: JobStatus) -> None:
    job = make_job(using, status=status)
    later = datetime.now(UTC) + TOMORROW
    assert reschedule_jobs(jobs(using), later) == 1
    job.refresh_from_db()
    assert (job.status, job.run_after) == (JobStatus.PENDING, later)
    past = datetime.now(UTC) - TOMORROW
    assert reschedule_jobs(jobs(using), past) == 1
    job.refresh_from_db()
    assert (job.status, job.run_after) == (JobStatus.QUEUED, past)


def test_a_waiting_job_gets_another_priority_and_another_queue(using: str) -> None:
    job = make_job(using, priority=5)
    assert change_priority(jobs(using), -7) == 1
    assert change_queue(jobs(using), "email") == 1
    job.refresh_from_db()
    assert (job.priority, job.queue_name, job.status) == (-7, "email", JobStatus.QUEUED)


def test_a_job_that_waits_at_a_limit_waits_there_no_longer_when_it_is_moved(using: str) -> None:
    moved = make_job(using, status=JobStatus.BLOCKED, blocked_on="k:tests:stripe", product="moved")
    later = make_job(using, status=JobStatus.BLOCKED, blocked_on="k:tests:stripe", product="later")
    assert change_queue(jobs(using).filter(product="moved"), "email") == 1
    assert reschedule_jobs(jobs(using).filter(product="later"), datetime.now(UTC) + TOMORROW) == 1
    moved.refresh_from_db()
    later.refresh_from_db()
    assert (moved.status, moved.queue_name, moved.blocked_on) == (JobStatus.QUEUED, "email", None)
    assert (later.status, later.blocked_on) == (JobStatus.PENDING, None)


@pytest.mark.parametrize("status", OTHER_STATUSES)
def test_jobs_that_run_or_have_ended_are_left_alone(using: str, status: JobStatus) -> None:
    job = make_job(using, status=status)
    before = job.run_after
    assert reschedule_jobs(jobs(using), timezone.now() + TOMORROW) == 0
    assert change_priority(jobs(using), 9) == 0
    assert change_queue(jobs(using), "email") == 0
    assert reschedulable_jobs(jobs(using)).count() == 0
    job.refresh_from_db()
    assert (job.status, job.run_after, job.priority, job.queue_name) == (status, before, 0, "default")


@pytest.mark.parametrize("status", WAITING_STATUSES)
def test_a_deleted_job_is_left_alone(using: str, status: JobStatus) -> None:
    make_job(using, status=status, deleted_at=ago(5))
    changed = [run_jobs_now(jobs(using)), reschedule_jobs(jobs(using), timezone.now())]
    changed += [change_priority(jobs(using), 9), change_queue(jobs(using), "email")]
    assert changed == [0, 0, 0, 0]


def test_an_operation_keeps_to_the_product_of_its_queryset(using: str) -> None:
    ours, theirs = make_job(using, product="ours"), make_job(using, product="theirs")
    assert change_priority(jobs(using).filter(product="ours"), 3) == 1
    ours.refresh_from_db()
    theirs.refresh_from_db()
    assert (ours.priority, theirs.priority) == (3, 0)


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda rows: change_priority(rows, 101), InvalidNumber),
        (lambda rows: change_priority(rows, True), InvalidNumber),
        (lambda rows: change_queue(rows, "no such name"), InvalidName),
        (lambda rows: reschedule_jobs(rows, None), EnqueueError),
        (lambda rows: reschedule_jobs(rows, "tomorrow"), EnqueueError),
        (lambda rows: reschedule_jobs(rows, datetime.max.replace(tzinfo=UTC)), EnqueueError),
        (lambda rows: reschedule_jobs(rows, datetime(2030, 1, 1)), EnqueueError),  # noqa: DTZ001 - refused
    ],
)
def test_what_is_not_accepted_changes_nothing(using: str, refused: Any, error: type[Exception]) -> None:
    job = make_job(using)
    with pytest.raises(error, match="Accepted"):
        refused(jobs(using))
    before = job.updated_at
    job.refresh_from_db()
    assert job.updated_at == before


def test_workers_of_the_queue_that_jobs_come_into_are_woken_after_the_commit(
    using: str, django_capture_on_commit_callbacks
) -> None:
    make_job(using, queue_name="images")
    with django_capture_on_commit_callbacks(using=using, execute=True):
        change_queue(jobs(using), "email")
        assert JobQueue("email").stats().length == 0
    assert [JobQueue(name).stats().length for name in ("images", "email")] == [0, 1]


def test_workers_are_woken_for_a_job_that_is_due_at_another_time(
    using: str, django_capture_on_commit_callbacks
) -> None:
    make_job(using, queue_name="email", status=JobStatus.PENDING, run_after=timezone.now() + TOMORROW)
    with django_capture_on_commit_callbacks(using=using, execute=True):
        reschedule_jobs(jobs(using), timezone.now() + timedelta(minutes=1))
    assert JobQueue("email").stats().length == 1
    with django_capture_on_commit_callbacks(using=using, execute=True):
        run_jobs_now(jobs(using))
    assert JobQueue("email").stats().length == 2


def test_nobody_is_woken_for_nothing(using: str, django_capture_on_commit_callbacks) -> None:
    make_job(using, status=JobStatus.COMPLETED)
    with django_capture_on_commit_callbacks(using=using) as callbacks:
        assert run_jobs_now(jobs(using)) == 0
        assert reschedule_jobs(jobs(using), timezone.now()) == 0
    assert callbacks == []


def test_an_operation_takes_part_in_the_callers_transaction(using: str) -> None:
    job = make_job(using)
    with transaction.atomic(using=using):
        change_queue(jobs(using), "email")
        transaction.set_rollback(True, using=using)
    job.refresh_from_db()
    assert job.queue_name == "default"


@pytest.mark.django_db(databases=["default", "sqlite"], transaction=True)
async def test_async_twins_do_the_same(using: str) -> None:
    job = await Job.objects.using(using).acreate(product="default", job_type="tests.noop")
    assert await areschedule_jobs(jobs(using), timezone.now() + TOMORROW) == 1
    assert await arun_jobs_now(jobs(using)) == 1
    assert await achange_priority(jobs(using), 4) == 1
    assert await achange_queue(jobs(using), "email") == 1
    await job.arefresh_from_db()
    assert (job.status, job.priority, job.queue_name) == (JobStatus.QUEUED, 4, "email")
