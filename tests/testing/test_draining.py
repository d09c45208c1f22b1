"""drain_jobs: in a TestCase, in a TransactionTestCase, with pytest-django, and in async tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase
from django.utils import timezone

from pleme_redis_django import JobStatus, signals
from pleme_redis_django.models import Job, JobAttempt
from pleme_redis_django.operations import pause_queue
from pleme_redis_django.testing import adrain_jobs, drain_jobs
from pleme_redis_django.testing import draining as draining_module
from tests.testing import jobs


def statuses() -> list[str]:
    return list(Job.objects.order_by("created_at", "id").values_list("status", flat=True))


class InATestCase(TestCase):
    def test_jobs_run_inside_the_tests_transaction(self) -> None:
        job = jobs.make_group.enqueue(name="editors")
        summary = drain_jobs()
        job.refresh_from_db()
        assert (job.status, job.attempt) == (JobStatus.COMPLETED, 1)
        assert job.results == Group.objects.get(name="editors").pk
        assert [done.pk for done in summary.completed] == [job.pk]

    def test_a_paused_queue_is_left_alone(self) -> None:
        pause_queue("email")
        jobs.make_group.using(queue_name="email").enqueue(name="waits")
        jobs.make_group.enqueue(name="editors")
        assert len(drain_jobs()) == 1
        assert not Group.objects.filter(name="waits").exists()

    def test_async_handlers_run_inside_it_too(self) -> None:
        jobs.amake_group.enqueue(name="editors")
        assert len(drain_jobs().completed) == 1
        assert Group.objects.filter(name="editors").exists()

    def test_a_database_error_of_a_handler_does_not_break_the_tests_transaction(self) -> None:
        for job in (jobs.make_group_twice, jobs.amake_group_twice):
            job.using(max_retries=0).enqueue(name="twice")
            jobs.make_group.enqueue(name=f"after {job.name}")
            summary = drain_jobs()
            assert (len(summary.failed), len(summary.completed)) == (1, 1)
            assert "IntegrityError" in summary.failures[0].exception_class
            assert not Group.objects.filter(name="twice").exists()

    def test_what_a_handler_leaves_to_on_commit_is_run(self) -> None:
        jobs.make_group_on_commit.enqueue(name="late")
        assert len(drain_jobs()) == 2
        assert Group.objects.filter(name="late").exists()

    def test_what_the_test_itself_left_to_on_commit_is_not(self) -> None:
        called: list[int] = []
        transaction.on_commit(lambda: called.append(1))
        jobs.make_group.enqueue(name="editors")
        drain_jobs()
        assert called == []

    async def test_in_an_async_test(self) -> None:
        await jobs.make_group.aenqueue(name="editors")
        await jobs.amake_group.aenqueue(name="writers")
        summary = await adrain_jobs()
        assert len(summary.completed) == 2
        assert await Group.objects.acount() == 2

    async def test_what_was_run_is_read_in_an_async_test(self) -> None:
        await jobs.make_group.aenqueue(name="editors")
        [done] = (await adrain_jobs()).completed
        assert (done.results, done.error_message) == ((await Group.objects.aget()).pk, "")
        await done.arefresh_from_db()

    async def test_the_sync_form_in_an_event_loop_names_the_async_one(self) -> None:
        with pytest.raises(RuntimeError, match="await adrain_jobs"):
            drain_jobs()


class InATransactionTestCase(TransactionTestCase):
    def test_jobs_run_in_autocommit(self) -> None:
        jobs.make_group.enqueue(name="editors")
        jobs.amake_group.enqueue(name="writers")
        jobs.make_group_on_commit.enqueue(name="late")
        assert len(drain_jobs().completed) == 4
        assert not connection.in_atomic_block
        assert Group.objects.count() == 3


@pytest.mark.django_db
class TestWithPytestDjango:
    def test_nothing_ready_is_an_empty_summary(self) -> None:
        summary = drain_jobs()
        assert len(summary) == 0
        assert list(summary) == []
        assert str(summary) == "nothing was ready"

    def test_what_jobs_enqueue_is_run_too(self) -> None:
        jobs.enqueue_more.enqueue(left=3)
        assert [attempt.ending.results_json for attempt in drain_jobs()] == ["3", "2", "1", "0"]

    def test_a_limit_leaves_the_rest(self) -> None:
        jobs.enqueue_itself.enqueue()
        assert len(drain_jobs(limit=3)) == 3
        assert statuses() == ["COMPLETED", "COMPLETED", "COMPLETED", "QUEUED"]

    def test_jobs_that_never_end_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(draining_module, "ENDLESS_ATTEMPTS", 20)
        jobs.enqueue_itself.enqueue()
        with pytest.raises(AssertionError, match=r"enqueue_itself.*limit"):
            drain_jobs()

    def test_only_the_named_queues(self) -> None:
        jobs.make_group.enqueue(name="editors")
        jobs.enqueue_more.enqueue(left=0)
        assert [job.queue_name for job in drain_jobs(queue_names=["names"]).completed] == ["names"]
        assert [job.queue_name for job in drain_jobs().completed] == ["default"]

    def test_a_failed_job_waits_for_its_retry(self) -> None:
        job = jobs.fail.enqueue(message="no mail today")
        summary = drain_jobs()
        job.refresh_from_db()
        assert (job.status, job.retry_count) == (JobStatus.PENDING, 1)
        assert [one.pk for one in summary.retried] == [job.pk]
        assert "no mail today" in str(summary)
        assert len(drain_jobs()) == 0

    def test_each_attempts_job_is_the_row_as_the_attempt_left_it(self) -> None:
        jobs.fail.enqueue(message="no mail today")
        rows = [attempt.job for attempt in drain_jobs(with_retries=True)]
        assert [(row.status, row.attempt) for row in rows] == [("PENDING", 1), ("PENDING", 2), ("FAILED", 3)]
        assert all(not row.get_deferred_fields() for row in rows)

    def test_a_job_whose_row_its_handler_has_deleted_is_told_as_claimed(self) -> None:
        job = jobs.delete_own_row.enqueue()
        [attempt] = drain_jobs()
        assert attempt.job.pk == job.pk

    def test_with_retries_nothing_waits(self) -> None:
        job = jobs.fail.enqueue(message="no mail today")
        summary = drain_jobs(with_retries=True)
        job.refresh_from_db()
        assert (job.status, job.retry_count, job.attempt) == (JobStatus.FAILED, 2, 3)
        assert (len(summary.retried), len(summary.failed)) == (2, 1)
        assert JobAttempt.objects.filter(job_id=job.pk).count() == 3

    def test_a_scheduled_job_waits_unless_asked_for(self) -> None:
        later = timezone.now() + timedelta(hours=1)
        jobs.make_group.using(run_after=later).enqueue(name="editors")
        assert len(drain_jobs(with_retries=True)) == 0
        assert len(drain_jobs(with_scheduled=True).completed) == 1

    def test_a_retry_is_not_scheduled(self) -> None:
        jobs.fail.enqueue(message="no")
        drain_jobs()
        assert len(drain_jobs(with_scheduled=True)) == 0

    def test_a_job_that_is_due_needs_no_option(self) -> None:
        jobs.make_group.using(run_after=timezone.now() - timedelta(seconds=1)).enqueue(name="editors")
        assert len(drain_jobs().completed) == 1

    def test_a_deleted_job_is_not_run(self) -> None:
        job = jobs.make_group.enqueue(name="editors")
        Job.objects.filter(pk=job.pk).update(deleted_at=timezone.now())
        assert len(drain_jobs(with_retries=True, with_scheduled=True)) == 0

    def test_a_suspect_is_run(self) -> None:
        job = jobs.make_group.enqueue(name="editors")
        Job.objects.filter(pk=job.pk).update(crash_count=2)
        assert len(drain_jobs().completed) == 1

    def test_a_type_that_nobody_knows_waits(self) -> None:
        Job.objects.create(product="default", job_type="gone.away", parameters={})
        jobs.make_group.enqueue(name="editors")
        assert len(drain_jobs().completed) == 1
        assert statuses() == ["QUEUED", "COMPLETED"]

    def test_a_cancelled_job(self) -> None:
        jobs.cancel.enqueue()
        assert len(drain_jobs().cancelled) == 1
        assert statuses() == ["CANCELLED"]

    def test_ctrl_c_in_a_handler_is_for_the_test(self) -> None:
        jobs.interrupt.enqueue()
        with pytest.raises(KeyboardInterrupt):
            drain_jobs()

    def test_the_last_progress_is_stored(self) -> None:
        job = jobs.report.enqueue()
        drain_jobs()
        job.refresh_from_db()
        assert (job.progress, job.results) == ({"done": 3, "total": 3}, {"attempt": 1})

    def test_higher_priority_first(self) -> None:
        for priority in (0, 10, -10):
            jobs.enqueue_more.using(priority=priority).enqueue(left=0)
        assert [job.priority for job in drain_jobs().completed] == [10, 0, -10]

    def test_signals_are_sent(self, received: list[tuple[str, Any]]) -> None:
        jobs.make_group.enqueue(name="editors")
        jobs.fail.using(max_retries=0).enqueue(message="no")
        drain_jobs()
        assert [name for name, _payload in received] == ["started", "completed", "started", "failed"]


@pytest.fixture
def received() -> Iterator[list[tuple[str, Any]]]:
    found: list[tuple[str, Any]] = []
    receivers = {
        name: lambda name=name, **payload: found.append((name, payload))
        for name in ("started", "completed", "failed", "retried", "cancelled")
    }
    for name, receiver in receivers.items():
        getattr(signals, f"job_{name}").connect(receiver)
    yield found
    for name, receiver in receivers.items():
        getattr(signals, f"job_{name}").disconnect(receiver)


@pytest.mark.django_db(transaction=True)
async def test_in_an_async_pytest_test() -> None:
    await jobs.make_group.aenqueue(name="editors")
    await jobs.amake_group.aenqueue(name="writers")
    assert len((await adrain_jobs()).completed) == 2
    assert await Group.objects.acount() == 2
