"""Whose turn it is: what comes before a job, and how long that takes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.functions import Now

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.models import Job
from pleme_redis_django.models import WorkerProcess as Worker
from pleme_redis_django.operations import pause_queue, resume_queue
from pleme_redis_django.orm_store import OrmJobStore
from tests.monitoring.waiting_jobs import TYPE, codes, only, waiting
from tests.rows import ago, make_worker

pytestmark = pytest.mark.django_db


def test_busy_workers_and_the_jobs_before_it() -> None:
    make_worker(slots=3, running=3)
    make_worker(slots=2, running=2)
    make_worker(slots=9, running=0, queues=["images"])
    waiting(priority=5)
    waiting(run_after=ago(60))
    job = waiting()
    waiting(priority=-5)
    waiting(deleted_at=ago(1), priority=9)
    waiting(crash_count=2, priority=9)
    text = "All 5 sync slots of the 2 worker processes that serve it are taken, and 2 jobs come before it"
    assert only(job).code == "busy"
    assert only(job).text == f"{text}."
    assert only(job, done_per_minute=6).text == f"{text}, about 20 s at the current pace."


def test_jobs_of_every_queue_that_its_workers_serve_come_before_it() -> None:
    make_worker(slots=9)
    for _ in range(3):
        waiting(queue_name="busy", run_after=ago(60))
    job = waiting(queue_name="quiet")
    assert (only(job).code, only(job).text) == ("behind", "3 jobs come before it.")
    pause_queue("busy")
    assert codes(job) == ["next"]
    resume_queue("busy")
    # Who serves its queue alone does not claim the others.
    Worker.objects.update(queues=["quiet"])
    assert codes(job) == ["next"]


def test_jobs_that_its_workers_do_not_know_are_left_alone_and_come_before_nothing() -> None:
    make_worker(slots=9, job_types=[TYPE])
    waiting(job_type="of.another.release", priority=9)
    assert codes(waiting()) == ["next"]


def test_a_job_that_is_next_for_long_is_claimed_by_nobody() -> None:
    make_worker(slots=9, started_at=ago(600))
    job = waiting(run_after=ago(720), updated_at=ago(720))
    reason = only(job)
    assert reason.code == "unclaimed"
    assert "1 worker process has free slots for it and none has claimed it for 10 m" in reason.text
    assert reason.fix
    # A moment ago it was moved here: that it was due long ago says nothing.
    Job.objects.update(updated_at=Now())
    assert codes(job) == ["next"]


def test_nothing_of_a_product_that_the_viewer_does_not_see_is_named() -> None:
    ours = ProductScope(products=frozenset({"ours"}))
    make_worker(queues=["merger"], product="theirs")
    job = waiting(queue_name="lonely", product="ours")
    assert only(job).text.endswith("Served: merger of theirs.")
    assert only(job, scope=ours).text.endswith("Served: 1 other.")
    make_worker(queues=["nothing"])
    assert only(job, scope=ours).text.endswith("Served: nothing and 1 other.")
    make_worker(slots=9)
    waiting(product="theirs", priority=9)
    assert only(job, scope=ours).text == "Jobs of other products come before it."
    waiting(product="ours", priority=9)
    assert only(job, scope=ours).text == "1 job and others come before it."
    assert only(job).text == "2 jobs come before it."


def test_the_count_agrees_with_the_order_in_which_jobs_are_claimed() -> None:
    make_worker(slots=9)
    jobs = [waiting(priority=number % 3, run_after=ago(number % 4)) for number in range(12)]
    positions = {job.id: only(job) for job in jobs}
    claimed = OrmJobStore(Job).claim_jobs("00000000-0000-0000-0000-000000000001", 12, _everything())
    for place, job in enumerate(claimed):
        before = {0: "It is ready and next", 1: "1 job comes before it"}
        assert positions[job.id].text.startswith(before.get(place, f"{place} jobs come before it"))


def _everything() -> Any:
    from pleme_redis_django.jobs.interface.selection import JobSelection

    return JobSelection()
