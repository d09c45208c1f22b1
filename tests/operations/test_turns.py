"""Turns after what operators do: to the head of a line, to those behind it, and to those that come back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from pleme_redis_django import operations
from pleme_redis_django.models import Job, JobStatus
from pleme_redis_django.models.indexes import TURN_CONDITION
from pleme_redis_django.orm_store.flow.lines import Line
from tests.rows import ago, make_failed_job, make_job

pytestmark = pytest.mark.django_db(transaction=True)

LINE = Line("default", "order:1")
ORDERED: dict[str, Any] = {"order_key": LINE.order_key}


def waiting(**fields: Any) -> Job:
    return make_job(**(ORDERED | {"status": JobStatus.BLOCKED, "blocked_on": LINE.gate} | fields))


def only(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(pk=job.pk)


def states(*jobs: Job) -> list[str]:
    for job in jobs:
        job.refresh_from_db()
    return [job.status for job in jobs]


HEADS: dict[str, dict[str, Any]] = {
    "ready": {"status": JobStatus.QUEUED},
    "between attempts": {"status": JobStatus.PENDING, "attempt": 2, "run_after": Now() + timedelta(hours=1)},
    "at a limit": {"status": JobStatus.BLOCKED, "attempt": 1, "blocked_on": "k:default:stripe"},
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
class TestHead:
    @pytest.mark.parametrize("end", [operations.cancel_jobs, operations.delete_jobs])
    def test_its_end_passes_the_turn_on(self, head: dict[str, Any], end: Callable[..., Any]) -> None:
        first, second, third = make_job(**ORDERED, **head), waiting(), waiting()
        end(only(first))
        assert states(second, third) == [JobStatus.QUEUED, JobStatus.BLOCKED]

    def test_another_priority_keeps_its_turn(self, head: dict[str, Any]) -> None:
        first, second = make_job(**ORDERED, **head), waiting(priority=5)
        operations.change_priority(only(first), -5)
        assert states(first, second) == [head["status"], JobStatus.BLOCKED]

    def test_another_queue_keeps_its_turn(self, head: dict[str, Any]) -> None:
        first, second = make_job(**ORDERED, **head), waiting()
        operations.change_queue(only(first), "mail")
        assert states(second) == [JobStatus.BLOCKED]
        assert only(first).filter(TURN_CONDITION).exists()

    @pytest.mark.parametrize(
        "skip", [operations.skip_in_line, async_to_sync(operations.askip_in_line)], ids=["sync", "async"]
    )
    def test_it_is_skipped(self, head: dict[str, Any], skip: Callable[[Job], bool]) -> None:
        first, second, third = make_job(**ORDERED, **head), waiting(), waiting()
        assert skip(first) is True
        assert states(first, second, third) == [JobStatus.BLOCKED, JobStatus.QUEUED, JobStatus.BLOCKED]
        assert first.blocked_on == LINE.gate
        assert first.run_after > third.run_after


class TestSkip:
    def test_skipped_one_comes_last_whatever_its_priority(self) -> None:
        first, second = make_job(**ORDERED, priority=9, retry_count=2), waiting(priority=-3)
        third = waiting(priority=4)
        assert operations.skip_in_line(first)
        order = []
        for _ in range(3):
            (now,) = Job.objects.filter(status=JobStatus.QUEUED)
            order.append(now.pk)
            operations.cancel_jobs(only(now))
        assert order == [third.pk, second.pk, first.pk]
        first.refresh_from_db()
        assert (first.priority, first.retry_count) == (-3, 2)

    def test_nobody_waits_behind_it(self) -> None:
        first = make_job(**ORDERED)
        assert not operations.skip_in_line(first)
        assert states(first) == [JobStatus.QUEUED]

    @pytest.mark.parametrize(
        "fields",
        [
            {"status": JobStatus.RUNNING, "attempt": 1},
            {"status": JobStatus.PENDING},
            {"status": JobStatus.BLOCKED, "blocked_on": LINE.gate},
            {"status": JobStatus.QUEUED, "order_key": None},
            {"status": JobStatus.QUEUED, "deleted_at": Now()},
        ],
        ids=["running", "not due", "in the line", "of no line", "deleted"],
    )
    def test_one_that_does_not_wait_at_the_head_is_left(self, fields: dict[str, Any]) -> None:
        other = make_job(**(ORDERED | fields))
        waiting()
        assert not operations.skip_in_line(other)
        assert states(other) == [fields["status"]]
        assert not operations.skippable_jobs(only(other)).exists()


class TestComingBack:
    def test_retried_one_goes_to_the_end_of_its_line(self) -> None:
        failed, running, behind = (
            make_failed_job(**ORDERED, run_after=ago(500)),
            make_job(**ORDERED, status=JobStatus.RUNNING, attempt=1),
            waiting(),
        )
        assert operations.retry_jobs(only(failed)) == 1
        assert states(failed, running, behind) == [JobStatus.BLOCKED, JobStatus.RUNNING, JobStatus.BLOCKED]
        assert (failed.blocked_on, failed.run_after > behind.run_after) == (LINE.gate, True)

    def test_retried_one_of_an_empty_line_has_its_turn(self) -> None:
        failed = make_failed_job(**ORDERED)
        operations.retry_jobs(only(failed))
        assert states(failed) == [JobStatus.QUEUED]

    def test_many_retried_at_once_have_one_turn(self) -> None:
        jobs = [make_failed_job(**ORDERED) for _ in range(5)]
        assert operations.retry_jobs(Job.objects.all()) == 5
        assert sorted(states(*jobs)) == [JobStatus.BLOCKED] * 4 + [JobStatus.QUEUED]

    def test_job_that_is_to_run_now_goes_into_its_line(self) -> None:
        later = make_job(**ORDERED, status=JobStatus.PENDING, run_after=Now() + timedelta(hours=1))
        head = make_job(**ORDERED)
        operations.run_jobs_now(only(later))
        assert states(head, later) == [JobStatus.QUEUED, JobStatus.BLOCKED]

    def test_head_that_is_to_run_now_goes_on_with_its_turn(self) -> None:
        head = make_job(**ORDERED, status=JobStatus.PENDING, attempt=1, run_after=Now() + timedelta(hours=1))
        waiting()
        operations.run_jobs_now(only(head))
        assert states(head) == [JobStatus.QUEUED]


class TestReschedule:
    def test_head_that_has_not_begun_gives_up_its_turn(self) -> None:
        head, behind = make_job(**ORDERED), waiting()
        operations.reschedule_jobs(only(head), timezone.now() + timedelta(hours=1))
        assert states(head, behind) == [JobStatus.PENDING, JobStatus.QUEUED]

    def test_head_that_has_begun_keeps_its_turn(self) -> None:
        head, behind = make_job(**ORDERED, attempt=1), waiting()
        operations.reschedule_jobs(only(head), timezone.now() + timedelta(hours=1))
        assert states(head, behind) == [JobStatus.PENDING, JobStatus.BLOCKED]

    def test_waiting_one_leaves_its_line_until_it_is_due(self) -> None:
        make_job(**ORDERED)
        behind = waiting()
        operations.reschedule_jobs(only(behind), timezone.now() + timedelta(hours=1))
        assert states(behind) == [JobStatus.PENDING]
        assert behind.blocked_on is None

    def test_waiting_one_that_has_begun_once_stays_in_its_line(self) -> None:
        """PENDING, it would have the turn, which the head has."""
        make_job(**ORDERED)
        behind = waiting(attempt=4)
        operations.reschedule_jobs(only(behind), timezone.now() + timedelta(hours=1))
        assert states(behind) == [JobStatus.BLOCKED]
        assert behind.blocked_on == LINE.gate

    def test_past_time_moves_it_forward_in_its_line(self) -> None:
        head, second, third = make_job(**ORDERED), waiting(), waiting()
        operations.reschedule_jobs(only(third), timezone.now() - timedelta(hours=1))
        operations.cancel_jobs(only(head))
        assert states(second, third) == [JobStatus.BLOCKED, JobStatus.QUEUED]


def test_change_of_the_queue_leaves_a_waiting_one_in_its_line() -> None:
    make_job(**ORDERED)
    behind = waiting()
    operations.change_queue(only(behind), "mail")
    assert states(behind) == [JobStatus.BLOCKED]
    assert (behind.blocked_on, behind.queue_name) == (LINE.gate, "mail")


@pytest.mark.parametrize(
    "change",
    [
        operations.cancel_jobs,
        operations.delete_jobs,
        lambda jobs: operations.change_queue(jobs, "another"),
        lambda jobs: operations.reschedule_jobs(jobs, timezone.now() + timedelta(hours=1)),
    ],
    ids=["cancelled", "deleted", "moved", "put off"],
)
def test_lighter_ones_that_waited_behind_a_heavy_one_go_on_when_it_is_gone(change: Any) -> None:
    operations.set_limit("queue", "default", max_running=2)
    make_job(status="RUNNING", attempt=1)
    waits = {"status": "BLOCKED", "blocked_on": "q:default:default"}
    heavy, light = make_job(cost=2, **waits), make_job(**waits)
    change(Job.objects.filter(pk=heavy.pk))
    light.refresh_from_db()
    assert (light.status, light.blocked_on) == ("QUEUED", None)
