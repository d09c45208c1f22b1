"""Cancel, retry and delete: what they change, what they leave alone, and whom they wake."""

from __future__ import annotations

from unittest.mock import Mock
from uuid import UUID, uuid4

import pytest
from django.conf import settings as django_settings
from django.db import connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from pleme_redis_django import signals
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job
from pleme_redis_django.operations import (
    WAITING_STATUSES,
    CancelResult,
    acancel_jobs,
    adelete_jobs,
    aretry_jobs,
    cancel_jobs,
    cancellable_jobs,
    delete_jobs,
    endings,
    retry_jobs,
)
from pleme_redis_django.redis_state.server.keyspace import worker_calls
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.wakeups.job_queue import JobQueue
from tests.rows import BACKENDS, ago, make_attempt, make_failed_job, make_job
from tests.workload.jobs import noop

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]


def jobs(using: str):
    return Job.objects.using(using)


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_retried_job_is_ready_now_with_all_its_retries(using: str, status: JobStatus) -> None:
    job = make_failed_job(using, status=status, cancel_requested_at=ago(90), run_after=ago(600))
    before = job.run_after
    make_attempt(job, 4)
    assert retry_jobs(jobs(using)) == 1
    job.refresh_from_db()
    assert (job.status, job.retry_count, job.cancel_requested_at) == (JobStatus.QUEUED, 0, None)
    assert job.run_after > before
    assert job.attempt == 4, "the fencing token only grows"
    assert job.error_message == "the provider is away", "kept until the next ending"


@pytest.mark.parametrize(
    "status", [each for each in JobStatus if each not in (JobStatus.FAILED, JobStatus.CANCELLED)]
)
def test_other_jobs_are_not_retried(using: str, status: JobStatus) -> None:
    job = make_job(using, status=status, retry_count=2)
    assert retry_jobs(jobs(using)) == 0
    job.refresh_from_db()
    assert (job.status, job.retry_count) == (status, 2)


def test_a_deleted_job_is_not_retried(using: str) -> None:
    make_failed_job(using, deleted_at=ago(5))
    assert retry_jobs(jobs(using)) == 0


def test_a_retried_job_is_no_suspect_any_more(using: str) -> None:
    job = make_failed_job(using, crash_count=2, unseen_deaths=10)
    retry_jobs(jobs(using))
    job.refresh_from_db()
    assert (job.crash_count, job.unseen_deaths) == (0, 0)


def test_an_operation_keeps_to_the_product_of_its_queryset(using: str) -> None:
    ours = make_failed_job(using, product="novaskyn")
    theirs = make_failed_job(using, product="other")
    assert retry_jobs(jobs(using).filter(product="novaskyn")) == 1
    assert delete_jobs(jobs(using).filter(product="novaskyn")) == 1
    ours.refresh_from_db()
    theirs.refresh_from_db()
    assert ours.deleted_at is not None
    assert (theirs.status, theirs.deleted_at) == (JobStatus.FAILED, None)


def test_a_retry_is_one_update_however_many_jobs(using: str) -> None:
    for _ in range(20):
        make_failed_job(using)
    with CaptureQueriesContext(
        connections[using],
    ) as queries:
        assert retry_jobs(jobs(using)) == 20
    assert sum(query["sql"].startswith("UPDATE") for query in queries) == 1


def test_workers_of_each_queue_are_woken_after_the_commit(
    using: str, django_capture_on_commit_callbacks
) -> None:
    make_failed_job(using, queue_name="email")
    make_failed_job(using, queue_name="images")
    make_job(using, queue_name="idle")
    with django_capture_on_commit_callbacks(using=using, execute=True):
        retry_jobs(jobs(using))
        assert JobQueue("email").stats().length == 0
    lengths = {name: JobQueue(name).stats().length for name in ("email", "images", "idle")}
    assert lengths == {"email": 1, "images": 1, "idle": 0}


def test_nobody_is_woken_for_nothing(using: str, django_capture_on_commit_callbacks) -> None:
    make_job(using)
    with django_capture_on_commit_callbacks(using=using) as callbacks:
        assert retry_jobs(jobs(using)) == 0
    assert callbacks == []


@pytest.mark.parametrize("status", JobStatus)
def test_a_deleted_job_is_marked_once_and_frees_its_slot(using: str, status: JobStatus) -> None:
    job = make_job(using, status=status, unique_slot="r:0123")
    assert delete_jobs(jobs(using)) == 1
    job.refresh_from_db()
    first = job.deleted_at
    assert first is not None
    assert (job.status, job.unique_slot) == (status, None)
    make_job(using, unique_slot="r:0123", product="default")
    assert delete_jobs(jobs(using).filter(pk=job.pk)) == 0
    job.refresh_from_db()
    assert job.deleted_at == first


def test_the_attempt_of_a_deleted_running_job_is_recorded(using: str) -> None:
    from pleme_redis_django.orm_store import OrmJobStore

    store = OrmJobStore(Job, using=using)
    make_job(using)
    claimed = store.claim_next_job(str(uuid4()))
    assert claimed is not None
    delete_jobs(jobs(using))
    assert store.mark_job_completed(claimed.id, {"sent": 1}, claim=claimed.claim)
    row = jobs(using).get()
    assert (row.status, row.results) == (JobStatus.COMPLETED, {"sent": 1})
    assert row.deleted_at is not None


def test_no_worker_claims_a_deleted_job(using: str) -> None:
    from pleme_redis_django.orm_store import OrmJobStore

    make_job(using)
    delete_jobs(jobs(using))
    assert OrmJobStore(Job, using=using).claim_next_job(str(uuid4())) is None


@pytest.mark.django_db(databases=["default", "sqlite"], transaction=True)
async def test_async_twins_do_the_same(using: str) -> None:
    job = await Job.objects.using(using).acreate(
        product="default", job_type="tests.noop", status=JobStatus.FAILED
    )
    assert await aretry_jobs(jobs(using)) == 1
    assert await acancel_jobs(jobs(using)) == CancelResult(ended=1, requested=0)
    assert await aretry_jobs(jobs(using)) == 1
    assert await adelete_jobs(jobs(using)) == 1
    await job.arefresh_from_db()
    assert (job.status, job.deleted_at is None) == (JobStatus.QUEUED, False)


def test_an_operation_takes_part_in_the_callers_transaction(using: str) -> None:
    job = make_failed_job(using)
    with transaction.atomic(using=using):
        retry_jobs(jobs(using))
        transaction.set_rollback(True, using=using)
    job.refresh_from_db()
    assert job.status == JobStatus.FAILED


def test_a_deleted_job_makes_room_for_a_new_one_with_its_unique_key(using: str) -> None:
    with override_settings(PLEME_REDIS=django_settings.PLEME_REDIS | {"DATABASE": using}):
        unique = noop.using(unique_key="once")
        first = unique.enqueue()
        assert unique.enqueue().id == first.id
        assert delete_jobs(jobs(using).filter(pk=first.id)) == 1
        assert unique.enqueue().id != first.id


@pytest.mark.parametrize("status", WAITING_STATUSES)
def test_a_waiting_job_is_cancelled_at_once_and_frees_its_slot(using: str, status: JobStatus) -> None:
    job = make_job(using, status=status, unique_slot="p:0123")
    assert cancel_jobs(jobs(using)) == CancelResult(ended=1, requested=0)
    job.refresh_from_db()
    assert (job.status, job.unique_slot) == (JobStatus.CANCELLED, None)
    assert job.failed_at is not None and job.cancel_requested_at is not None
    assert retry_jobs(jobs(using)) == 1, "a cancelled job may be retried"


def test_a_running_job_is_asked_to_end_once(using: str) -> None:
    job = make_job(using, status=JobStatus.RUNNING, unique_slot="r:0123")
    assert cancel_jobs(jobs(using)) == CancelResult(ended=0, requested=1)
    job.refresh_from_db()
    asked_at = job.cancel_requested_at
    assert (job.status, job.unique_slot) == (JobStatus.RUNNING, "r:0123")
    assert asked_at is not None
    assert cancel_jobs(jobs(using)).total == 0
    job.refresh_from_db()
    assert job.cancel_requested_at == asked_at


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_job_that_has_ended_is_not_cancelled(using: str, status: JobStatus) -> None:
    make_job(using, status=status)
    assert cancellable_jobs(jobs(using)).count() == 0
    assert cancel_jobs(jobs(using)).total == 0


@pytest.mark.parametrize("status", JobStatus)
def test_a_deleted_job_is_not_cancelled(using: str, status: JobStatus) -> None:
    make_job(using, status=status, deleted_at=ago(5))
    assert cancel_jobs(jobs(using)).total == 0


def test_cancel_counts_what_it_ended_and_what_it_asked(using: str) -> None:
    for status in [*WAITING_STATUSES, JobStatus.RUNNING, JobStatus.FAILED]:
        make_job(using, status=status, product="ours")
    make_job(using, product="theirs")
    ours = jobs(using).filter(product="ours")
    assert cancellable_jobs(ours).count() == 4
    assert cancel_jobs(ours) == CancelResult(ended=3, requested=1)
    assert jobs(using).get(product="theirs").status == JobStatus.QUEUED


def test_a_job_that_waits_at_a_limit_leaves_it_when_it_is_cancelled(using: str) -> None:
    job = make_job(using, status=JobStatus.BLOCKED, blocked_on="k:tests:stripe")
    assert cancel_jobs(jobs(using)) == CancelResult(ended=1, requested=0)
    job.refresh_from_db()
    assert (job.status, job.blocked_on) == (JobStatus.CANCELLED, None)


def test_a_cancelled_job_makes_room_for_a_new_one_with_its_unique_key(using: str) -> None:
    with override_settings(PLEME_REDIS=django_settings.PLEME_REDIS | {"DATABASE": using}):
        unique = noop.using(unique_key="once")
        first = unique.enqueue()
        assert cancel_jobs(jobs(using).filter(pk=first.id)).ended == 1
        assert unique.enqueue().id != first.id


def test_no_worker_claims_a_cancelled_job(using: str) -> None:
    from pleme_redis_django.orm_store import OrmJobStore

    make_job(using)
    cancel_jobs(jobs(using))
    assert OrmJobStore(Job, using=using).claim_next_job(str(uuid4())) is None


def test_who_listens_is_told_of_waiting_jobs_that_were_cancelled(
    using: str, django_capture_on_commit_callbacks
) -> None:
    jobs_told: list[Job] = []

    def receive(sender, job, **kwargs) -> None:
        jobs_told.append(job)

    waiting, _running = make_job(using), make_job(using, status=JobStatus.RUNNING)
    signals.job_cancelled.connect(receive)
    try:
        with django_capture_on_commit_callbacks(using=using, execute=True):
            cancel_jobs(jobs(using))
            assert jobs_told == []
    finally:
        signals.job_cancelled.disconnect(receive)
    assert [(job.pk, job.status) for job in jobs_told] == [(waiting.pk, JobStatus.CANCELLED)]


def test_what_fails_after_the_commit_has_a_name_in_the_log(
    using: str, django_capture_on_commit_callbacks
) -> None:
    def receive(sender, job, **kwargs) -> None: ...

    make_job(using)
    make_job(using, status=JobStatus.RUNNING, worker_id=uuid4())
    make_failed_job(using)
    signals.job_cancelled.connect(receive)
    try:
        with django_capture_on_commit_callbacks(using=using) as callbacks:
            retry_jobs(jobs(using))
            cancel_jobs(jobs(using))
    finally:
        signals.job_cancelled.disconnect(receive)
    assert len(callbacks) == 3, "a hint, a call to the worker, a signal"
    assert all(isinstance(each.__qualname__, str) for each in callbacks)  # Django logs it


def test_where_nobody_listens_no_row_is_read(
    using: str, django_capture_on_commit_callbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "listeners", {})  # The backend of django.tasks listens to its own types.
    make_job(using)
    with (
        django_capture_on_commit_callbacks(using=using, execute=True) as callbacks,
        CaptureQueriesContext(connections[using]) as queries,
    ):
        assert cancel_jobs(jobs(using)).ended == 1
    assert callbacks == []
    selects = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    assert len(selects) == 2, "which workers run some of them, and which lines of an order they stand in"


def test_only_jobs_of_types_that_are_listened_to_are_read_and_told(
    using: str, django_capture_on_commit_callbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[UUID] = []
    listener = Mock(spec_set=["cancelled"], cancelled=lambda job: told.append(job.id))
    make_job(using)
    heard = make_job(using, job_type="tests.heard")
    monkeypatch.setattr(endings, "listeners", {"tests.heard": listener})
    with django_capture_on_commit_callbacks(using=using, execute=True):
        assert cancel_jobs(jobs(using)).ended == 2
    assert told == [heard.id]


def test_the_workers_of_running_jobs_are_called_after_the_commit(
    using: str, django_capture_on_commit_callbacks
) -> None:
    worker_id = uuid4()
    make_job(using, status=JobStatus.RUNNING, worker_id=worker_id)
    with django_capture_on_commit_callbacks(using=using, execute=True):
        cancel_jobs(jobs(using))
        assert not redis_client().exists(worker_calls(str(worker_id)))
    assert redis_client().llen(worker_calls(str(worker_id))) == 1
