"""Why a job waits: each thing that a claim asks for, alone and together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job, QueuePause
from pleme_redis_django.models import WorkerProcess as Worker
from pleme_redis_django.monitoring.why_waiting import WaitReason, why_waiting
from pleme_redis_django.operations import delete_jobs, drain_worker, pause_queue, resume_queue
from pleme_redis_django.orm_store import OrmJobStore
from tests.rows import ago, make_job, make_worker
from tests.workload.jobs import add_slowly, noop
from tests.workload.models import EmailJob

pytestmark = pytest.mark.django_db

TYPE = noop.name
POOLS = {"default": {}, "email": {"model": "workload.EmailJob", "queues": ["email"]}}


def waiting(**fields: Any) -> Any:
    return make_job(**{"job_type": TYPE, **fields})


def codes(job: Any, **known: Any) -> list[str]:
    return [reason.code for reason in why_waiting(job, **known)]


def only(job: Any, **known: Any) -> WaitReason:
    [reason] = why_waiting(job, **known)
    return reason


def test_a_ready_job_that_nothing_keeps_waiting_is_next() -> None:
    make_worker()
    reason = only(waiting())
    assert (reason.code, reason.fix) == ("next", "")


@pytest.mark.parametrize("status", sorted(set(JobStatus) - {JobStatus.PENDING, JobStatus.QUEUED}))
def test_a_job_that_does_not_wait_has_no_reason(status: JobStatus) -> None:
    assert why_waiting(waiting(status=status)) == []


def test_a_scheduled_job_is_not_due() -> None:
    make_worker()
    job = waiting(status=JobStatus.PENDING, run_after=Now() + timedelta(seconds=180))
    reason = only(job)
    assert (reason.code, reason.since) == ("not_due", job.created_at)
    assert reason.text in ("It is scheduled, and due in 3 m.", "It is scheduled, and due in 2 m 59 s.")
    assert "Run it now" in reason.fix


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


def test_a_deleted_job() -> None:
    make_worker()
    job = waiting()
    delete_jobs(Job.objects.all())
    reason = only(job)
    job.refresh_from_db()
    assert (reason.code, reason.since) == ("deleted", job.deleted_at)


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


@pytest.mark.parametrize(
    "worker",
    [{"queues": ["images", "reports"]}, {"product": "theirs"}, {"queues": ["email"], "product": "x"}],
)
def test_no_worker_serves_its_queue_and_product(worker: dict[str, Any]) -> None:
    make_worker(**worker)
    reason = only(waiting(queue_name="email", product="ours"))
    assert reason.code == "unserved"
    assert "serves the queue email of ours" in reason.text
    assert str(worker.get("queues", ["*"])[0]) in reason.text


def test_a_worker_of_another_job_model_does_not_serve_it() -> None:
    with override_settings(PLEME_REDIS={"POOLS": POOLS}):
        make_worker(pool="email", queues=["email"])
        assert codes(waiting(queue_name="email")) == ["no_worker"]
        make_worker()
        assert codes(waiting(queue_name="other", priority=1)) == ["next"]


def test_every_worker_that_serves_it_drains() -> None:
    worker = make_worker()
    make_worker(queues=["images"])
    drain_worker(worker.id)
    worker.refresh_from_db()
    reason = only(waiting())
    assert (reason.code, reason.since) == ("draining", worker.drain_requested_at)
    make_worker()
    assert codes(waiting(queue_name="other", priority=1)) == ["next"]


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
    assert only(job, done_per_minute=6).text == f"{text}, about 20 s at the present pace."


def test_free_slots_of_the_other_kind_are_no_free_slots() -> None:
    make_worker(slots=30, async_slots=20, running=10, async_running=0)
    reason = only(waiting())
    assert (reason.code, reason.text) == (
        "busy",
        "All 10 sync slots of the worker process that serves it are taken, and it is next.",
    )
    assert codes(waiting(job_type=add_slowly.name, priority=1)) == ["next"]


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


def test_a_type_that_no_live_worker_knows() -> None:
    make_worker(job_types=["shop.jobs.other"])
    reason = only(waiting())
    assert reason.code == "unknown_type"
    assert "No live worker process that serves it knows the type" in reason.text
    assert "jobs.py" in reason.fix
    make_worker(job_types=["shop.jobs.other", TYPE])
    assert codes(waiting(priority=1)) == ["next"]


def test_a_type_that_the_workers_know_need_not_be_known_here() -> None:
    make_worker(job_types=["shop.jobs.of_the_next_release"])
    assert codes(waiting(job_type="shop.jobs.of_the_next_release")) == ["next"]


def test_a_quarantine_process_takes_no_other_job() -> None:
    make_worker(is_quarantine=True)
    assert codes(waiting()) == ["no_worker"]


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
        before = {0: "It is ready, and next", 1: "1 job comes before it"}
        assert positions[job.id].text.startswith(before.get(place, f"{place} jobs come before it"))


def _everything() -> Any:
    from pleme_redis_django.jobs.interface.store import JobSelection

    return JobSelection()


def test_several_reasons_at_once() -> None:
    job = waiting(status=JobStatus.PENDING, run_after=Now() + timedelta(hours=1), job_type="unknown")
    pause_queue("default")
    assert codes(job) == ["not_due", "paused", "unknown_type", "no_worker"]


def test_the_row_is_asked_not_the_instance() -> None:
    make_worker()
    job = Job.objects.only("id").get(pk=waiting().pk)
    Job.objects.update(status=JobStatus.RUNNING)
    assert why_waiting(job) == []


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


@pytest.mark.django_db(databases=["default", "sqlite"])
def test_a_job_on_another_database() -> None:
    job = make_job("sqlite", job_type=TYPE)
    assert codes(job) == ["no_worker"]
    make_worker("sqlite")
    assert codes(job) == ["next"]
