"""Retention: which finished jobs are deleted, and which stay."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

import pytest
from django.db import OperationalError, connection
from django.db.models.signals import pre_delete
from django.utils import timezone

from pleme_redis_django import JobStatus
from pleme_redis_django.conf.retention import retention_policy
from pleme_redis_django.jobs.interface.store import Pruned
from pleme_redis_django.models import Job, JobAttempt
from pleme_redis_django.orm_store import OrmJobStore, retention
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.expiry import end_expired_jobs
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.retention import Pruner, kept_until
from tests.rows import BACKENDS, ago, make_attempt, make_job

DAY = 86_400
WAITING_OR_RUNNING = ("QUEUED", "BLOCKED", "PENDING", "RUNNING")


def old_id(days: float) -> uuid.UUID:
    """Return a UUIDv7 of so many days ago."""
    milliseconds = int((time.time() - days * DAY) * 1000)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | uuid.uuid4().int >> 60)


def ended(status: JobStatus, days: float, using: str = "default", **fields: Any) -> Any:
    """Store a job that ended so many days ago, a minute after it was enqueued."""
    at = {"completed_at" if status is JobStatus.COMPLETED else "failed_at": ago(days * DAY)}
    return make_job(
        using, id=old_id(days), status=status, created_at=ago(days * DAY + 60), **{**at, **fields}
    )


def pruner(raw: dict[str, Any] | None = None, using: str = "default") -> Pruner[Job]:
    return Pruner(JobTable(Job, using), retention_policy(raw or {}))


def walk(one: Pruner[Job], limit: int = 1_000) -> tuple[int, int]:
    """Walk to the end; return how many were deleted, and how many kept."""
    deleted = kept = 0
    while not (pruned := one.prune(limit)).is_done:
        deleted, kept = deleted + pruned.deleted, kept + pruned.kept
    return deleted, kept


def left(using: str = "default") -> set[uuid.UUID]:
    return set(Job._base_manager.using(using).values_list("pk", flat=True))


@pytest.mark.django_db(databases=BACKENDS)
@pytest.mark.parametrize("using", BACKENDS)
def test_one_that_ended_while_it_was_blocked_is_deleted_and_one_that_waits_stays(using: str) -> None:
    at_a_gate: dict[str, Any] = {"status": JobStatus.BLOCKED, "blocked_on": "k:default:stripe"}
    expiring = make_job(using, id=old_id(400), expires_at=ago(5), **at_a_gate)
    waiting = make_job(using, id=old_id(400), failed_at=ago(400 * DAY), **at_a_gate)
    table = JobTable(Job, using)
    assert walk(pruner(using=using))[0] == 0
    assert end_expired_jobs(dialect_of(table), table, 10) == 1
    table.rows().filter(pk=expiring.pk).update(failed_at=ago(31 * DAY))
    assert walk(pruner(using=using))[0] == 1
    assert left(using) == {waiting.pk}


@pytest.mark.django_db(databases=BACKENDS)
@pytest.mark.parametrize("using", BACKENDS)
def test_each_status_has_its_own_time(using: str) -> None:
    over = [
        ended(JobStatus.COMPLETED, 8, using),
        ended(JobStatus.CANCELLED, 31, using),
        ended(JobStatus.FAILED, 91, using),
    ]
    stay = [
        ended(JobStatus.COMPLETED, 6, using),
        ended(JobStatus.CANCELLED, 29, using),
        ended(JobStatus.FAILED, 89, using),
        *(make_job(using, id=old_id(400), status=status) for status in WAITING_OR_RUNNING),
    ]
    assert pruner(using=using).count() == len(over)
    assert walk(pruner(using=using), limit=2) == (len(over), 0)
    assert left(using) == {job.pk for job in stay}


@pytest.mark.django_db
def test_the_time_counts_from_the_ending_and_not_from_the_enqueue() -> None:
    long_ago = make_job(
        id=old_id(100), status=JobStatus.COMPLETED, completed_at=ago(DAY), created_at=ago(100 * DAY)
    )
    assert walk(pruner()) == (0, 0)
    assert left() == {long_ago.pk}


@pytest.mark.django_db
def test_a_queue_and_a_product_may_have_other_times_and_the_queue_counts_first() -> None:
    policy = {
        "COMPLETED": timedelta(days=3),
        "QUEUES": {"audit": {"COMPLETED": None}, "mail": {"COMPLETED": 3_600}},
        "PRODUCTS": {"lilith": {"COMPLETED": timedelta(days=20), "FAILED": timedelta(days=1)}},
    }
    stay = {
        ended(JobStatus.COMPLETED, 500, queue_name="audit").pk,
        ended(JobStatus.COMPLETED, 500, queue_name="audit", product="lilith").pk,
        ended(JobStatus.COMPLETED, 15, product="lilith").pk,
        ended(JobStatus.FAILED, 60).pk,
        ended(JobStatus.COMPLETED, 2).pk,
        ended(JobStatus.COMPLETED, 0.01, queue_name="mail").pk,
    }
    for over in (
        {"days": 0.2, "queue_name": "mail"},
        {"days": 0.2, "queue_name": "mail", "product": "lilith"},
        {"days": 21, "product": "lilith"},
        {"days": 4},
    ):
        ended(JobStatus.COMPLETED, **over)
    ended(JobStatus.FAILED, 2, product="lilith")
    assert walk(pruner(policy)) == (5, 0)
    assert left() == stay


@pytest.mark.django_db
def test_what_a_queue_says_of_one_status_leaves_the_others_to_the_product() -> None:
    policy = {"QUEUES": {"mail": {"COMPLETED": 3_600}}, "PRODUCTS": {"lilith": {"FAILED": 3_600}}}
    ended(JobStatus.FAILED, 1, queue_name="mail", product="lilith")
    stays = ended(JobStatus.FAILED, 1, queue_name="mail")
    assert walk(pruner(policy)) == (1, 0)
    assert left() == {stays.pk}


POLICY = {
    "COMPLETED": timedelta(days=3),
    "CANCELLED": None,
    "QUEUES": {"mail": {"COMPLETED": timedelta(days=1)}, "audit": {"COMPLETED": None}},
    "PRODUCTS": {"lilith": {"COMPLETED": timedelta(days=20), "FAILED": timedelta(days=1)}},
}


@pytest.mark.django_db
@pytest.mark.parametrize("queue", ["default", "mail", "audit"])
@pytest.mark.parametrize("product", ["default", "lilith"])
@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_job_says_until_when_it_is_kept_as_the_walk_deletes_it(
    queue: str, product: str, status: JobStatus
) -> None:
    for days in (0.9, 1.1, 2.9, 3.1, 19.9, 20.1, 89, 91, 400):
        ended(status, days, queue_name=queue, product=product)
    policy = retention_policy(POLICY)
    untils = {job.pk: kept_until(job, policy) for job in Job._base_manager.all()}
    walk(pruner(POLICY))
    assert left() == {pk for pk, until in untils.items() if until is None or until > timezone.now()}


@pytest.mark.django_db
def test_a_job_that_has_not_ended_is_kept_until_no_time_and_one_with_a_slot_for_longer() -> None:
    policy = retention_policy({})
    for status in ("QUEUED", "BLOCKED", "PENDING"):
        assert kept_until(make_job(status=status), policy) is None
        deleted = make_job(status=status, deleted_at=ago(0))
        assert kept_until(deleted, policy) == deleted.updated_at + timedelta(days=30)
    slot = ended(JobStatus.COMPLETED, 8, unique_slot="monthly")
    assert kept_until(slot, policy) == slot.created_at + timedelta(days=366)


@pytest.mark.django_db
def test_nothing_is_read_where_everything_is_kept_for_ever(django_assert_num_queries: Any) -> None:
    kept = pruner({"COMPLETED": None, "FAILED": None, "CANCELLED": None})
    ended(JobStatus.COMPLETED, 4_000)
    with django_assert_num_queries(0):
        assert kept.prune(1_000) == Pruned()
        assert kept.count() == 0


@pytest.mark.django_db
def test_attempts_go_with_their_job_and_those_of_others_stay() -> None:
    over, stays = ended(JobStatus.FAILED, 91), ended(JobStatus.FAILED, 1)
    make_attempt(over, 1), make_attempt(over, 2), make_attempt(stays)
    walk(pruner())
    assert list(JobAttempt.objects.values_list("job_id", flat=True)) == [stays.pk]


@pytest.mark.django_db
def test_a_job_that_holds_a_unique_slot_stays_as_long_as_a_period_may_last() -> None:
    held = ended(JobStatus.COMPLETED, 300, unique_slot="a")
    ended(JobStatus.COMPLETED, 367, unique_slot="b")
    assert walk(pruner()) == (1, 0)
    assert left() == {held.pk}


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["QUEUED", "BLOCKED", "PENDING"])
def test_a_job_that_was_deleted_while_it_waited_goes_like_a_cancelled_one(status: str) -> None:
    make_job(id=old_id(40), status=status, deleted_at=ago(35 * DAY), updated_at=ago(35 * DAY))
    stays = make_job(id=old_id(40), status=status, deleted_at=ago(DAY), updated_at=ago(DAY))
    assert walk(pruner()) == (1, 0)
    assert left() == {stays.pk}


@pytest.mark.django_db(databases=BACKENDS)
@pytest.mark.parametrize("using", BACKENDS)
@pytest.mark.parametrize("status", ["QUEUED", "BLOCKED", "PENDING"])
def test_one_that_failed_long_ago_was_retried_and_then_deleted_stays_since_the_deletion(
    status: str, using: str
) -> None:
    fields: dict[str, Any] = {"status": status, "failed_at": ago(60 * DAY)}
    stays = make_job(using, id=old_id(90), deleted_at=ago(DAY), updated_at=ago(DAY), **fields)
    make_job(using, id=old_id(90), deleted_at=ago(35 * DAY), updated_at=ago(35 * DAY), **fields)
    assert kept_until(stays, retention_policy({})) == stays.deleted_at + timedelta(days=30)
    assert walk(pruner(using=using)) == (1, 0)
    assert left(using) == {stays.pk}


@pytest.mark.django_db
def test_a_row_that_something_refers_to_stays_and_the_others_of_its_batch_go() -> None:
    jobs = [ended(JobStatus.COMPLETED, 10) for _ in range(3)]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE invoice (job_id uuid REFERENCES pleme_redis_django_job (id))")
        cursor.execute("INSERT INTO invoice VALUES (%s)", [jobs[1].pk])
    assert walk(pruner()) == (2, 1)
    assert left() == {jobs[1].pk}


class Refusal:
    """A receiver of the project's that fails for one job, or for all."""

    def __init__(self) -> None:
        self.of: uuid.UUID | Literal["all"] | None = None
        self.sqlstate = ""
        """Of what the database is to say; "": it is the receiver's own error."""

    def __call__(self, *, instance: Job, **_signal: Any) -> None:
        if self.of not in (instance.pk, "all"):
            return
        if not self.sqlstate:
            raise LookupError("the invoice of this job is nowhere")
        with connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{self.sqlstate}'; END $$")


@pytest.fixture
def refusal() -> Iterator[Refusal]:
    refusal = Refusal()
    pre_delete.connect(refusal, sender=Job)
    yield refusal
    pre_delete.disconnect(refusal, sender=Job)


@pytest.mark.django_db
@pytest.mark.parametrize("sqlstate", ["", "57014"], ids=["error", "statement bound"])
def test_a_row_that_cannot_be_deleted_stays_and_the_walk_goes_on(
    refusal: Refusal, sqlstate: str, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [ended(JobStatus.COMPLETED, 10) for _ in range(3)]
    refusal.of, refusal.sqlstate = min(job.pk for job in jobs), sqlstate
    assert walk(pruner(), limit=2) == (2, 1)
    assert left() == {refusal.of}
    (record,) = caplog.records
    assert f"a finished job cannot be deleted job_id={refusal.of}" in record.getMessage()
    refusal.of = None
    assert walk(pruner()) == (1, 0)


@pytest.mark.django_db
def test_a_database_that_goes_away_is_no_fault_of_a_row(refusal: Refusal) -> None:
    jobs = [ended(JobStatus.COMPLETED, 10) for _ in range(3)]
    refusal.of, refusal.sqlstate, one = jobs[0].pk, "57P01", pruner()
    with pytest.raises(OperationalError):
        one.prune(1_000)
    refusal.of = None
    assert walk(one) == (3, 0)


@pytest.mark.django_db
def test_a_batch_whose_time_is_over_leaves_the_rest_to_the_next_one(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SINGLY_SECONDS", 0.0)
    jobs = [ended(JobStatus.COMPLETED, 10) for _ in range(3)]
    refusal.of, one = "all", pruner()
    assert [one.prune(1_000) for _batch in range(4)] == [Pruned(kept=1, is_done=False)] * 3 + [Pruned()]
    assert left() == {job.pk for job in jobs}
    assert one.prune(1_000) == Pruned(kept=1, is_done=False)
    refusal.of = None
    assert walk(one) == (2, 0)
    assert walk(one) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_holds_what_goes_along_with_stays_for_the_next_walk() -> None:
    jobs, one, somebody = [ended(JobStatus.COMPLETED, 10) for _ in range(3)], pruner(), connection.copy()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE invoice (job_id uuid REFERENCES pleme_redis_django_job (id) ON DELETE CASCADE)"
        )
        cursor.execute("INSERT INTO invoice VALUES (%s)", [jobs[1].pk])
    try:
        with contextlib.closing(somebody), somebody.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM invoice FOR UPDATE")
            assert walk(one) == (2, 1)
            assert left() == {jobs[1].pk}
            cursor.execute("ROLLBACK")
        assert walk(one) == (1, 0)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE invoice")


@pytest.mark.django_db(transaction=True)
def test_a_locked_row_is_left_for_the_next_walk() -> None:
    locked, one = ended(JobStatus.COMPLETED, 10), pruner()
    ended(JobStatus.COMPLETED, 10)
    somebody = connection.copy()
    with contextlib.closing(somebody), somebody.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FROM pleme_redis_django_job WHERE id = %s FOR UPDATE", [locked.pk])
        assert walk(one) == (1, 0)
        assert left() == {locked.pk}
        cursor.execute("ROLLBACK")
    assert walk(one) == (1, 0)
    assert left() == set()


@pytest.mark.django_db
def test_a_store_prunes_by_the_settings(settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "RETENTION": {"COMPLETED": 3_600}}
    ended(JobStatus.COMPLETED, 0.5)
    assert OrmJobStore(Job).prune_jobs(1_000) == Pruned(deleted=1, is_done=False)
