"""Operations over the same jobs at once: rows are locked in one order, so that nobody waits in a circle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections, transaction

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import FlowLimit, Job
from pleme_redis_django.operations import (
    cancel_jobs,
    change_priority,
    delete_jobs,
    reschedule_jobs,
    retry_jobs,
    run_jobs_now,
)
from pleme_redis_django.orm_store.flow.left_places import let_others_in
from pleme_redis_django.orm_store.job_table import JobTable
from tests.rows import make_job
from tests.waiting import wait_until

OPERATIONS: dict[str, tuple[JobStatus, Callable[[Any], Any]]] = {
    "cancel waiting": (JobStatus.QUEUED, cancel_jobs),
    "cancel running": (JobStatus.RUNNING, cancel_jobs),
    "delete": (JobStatus.RUNNING, delete_jobs),
    "retry": (JobStatus.FAILED, retry_jobs),
    "run now": (JobStatus.PENDING, run_jobs_now),
    "priority": (JobStatus.QUEUED, lambda rows: change_priority(rows, 5)),
}
assert reschedule_jobs  # goes the way of run_jobs_now


def _waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", OPERATIONS)
def test_who_locks_jobs_by_id_meets_no_operation_in_a_circle(name: str) -> None:
    status, operate = OPERATIONS[name]
    first, second = (make_job(status=status) for _ in range(2))
    # Now the first one's newest version lies behind the second: an update in the order of the heap locks
    # the second before it waits for the first.
    Job.objects.filter(pk=first.pk).update(metadata={"moved": True})
    outcome: list[Any] = []

    def operate_in_a_thread() -> None:
        try:
            outcome.append(operate(Job.objects.all()))
        except Exception as error:
            outcome.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=operate_in_a_thread, daemon=True)
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=first.pk)
        thread.start()
        wait_until(_waits_for_a_lock)
        Job.objects.select_for_update().get(pk=second.pk)
    thread.join(20)
    (done,) = outcome
    assert not isinstance(done, Exception), done


@contextmanager
def a_change_of_priority_under_way(job: Job) -> Iterator[None]:
    """Hold the row of a waiting job from another session, whose commit is behind the block."""
    held, let_go = threading.Event(), threading.Event()

    def change() -> None:
        with transaction.atomic():
            change_priority(Job.objects.filter(pk=job.pk), 5)
            held.set()
            let_go.wait(20)
        connections.close_all()

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    try:
        assert held.wait(20)
        yield
    finally:
        let_go.set()
        thread.join(20)


@pytest.mark.django_db(transaction=True)
def test_a_line_whose_next_was_held_by_a_change_of_priority_goes_on_after_its_commit() -> None:
    head = make_job(order_key="order:1")
    next_one = make_job(status=JobStatus.BLOCKED, order_key="order:1", blocked_on="o:default:order:1")
    with a_change_of_priority_under_way(next_one):
        cancel_jobs(Job.objects.filter(pk=head.pk))
        next_one.refresh_from_db()
        assert next_one.status == JobStatus.BLOCKED
    next_one.refresh_from_db()
    assert (next_one.status, next_one.blocked_on, next_one.priority) == (JobStatus.QUEUED, None, 5)


@pytest.mark.django_db(transaction=True)
def test_a_place_whose_next_was_held_by_a_change_of_priority_is_given_after_its_commit() -> None:
    FlowLimit.objects.create(
        job_model="pleme_redis_django.job", kind="key", name="stripe", source="admin", max_running=1
    )
    running = make_job(status=JobStatus.RUNNING, concurrency_key="stripe", attempt=1)
    next_one = make_job(status=JobStatus.BLOCKED, concurrency_key="stripe", blocked_on="k:default:stripe")
    with a_change_of_priority_under_way(next_one):
        Job.objects.filter(pk=running.pk).update(status=JobStatus.COMPLETED)
        assert let_others_in(JobTable(Job, "default"), [running]) == []
    next_one.refresh_from_db()
    assert (next_one.status, next_one.blocked_on, next_one.priority) == (JobStatus.QUEUED, None, 5)
