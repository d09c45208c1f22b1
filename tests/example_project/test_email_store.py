"""The hand-written store keeps the contract of job stores."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.models import DateTimeField, F
from django.db.models.functions import Now

from example_project.shop.email_store import EmailJobStore
from example_project.shop.models import EmailJob
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.maintenance.endings_of_others import ending_after_death
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.testing import MemoryJobStore, NewJob
from pleme_redis_django.testing.servers import BackingServices
from pleme_redis_django.testing.store_contract import ConcurrencyTests, OneThreadTests, StoreSubject


class EmailSubject(StoreSubject):
    # A store of the eleven methods only.
    claims_by_selection = False
    knows_suspects = False
    counts_snoozes = False
    knows_deadlines = False
    finishes_in_batches = False

    def make_store(self) -> EmailJobStore:
        return EmailJobStore()

    def add_job(self, new: NewJob) -> UUID:
        job: EmailJob = EmailJob.objects.create(
            job_type=new.job_type,
            parameters=dict(new.parameters),
            max_retries=new.max_retries,
            queue_name=new.queue_name,
            product=new.product,
            priority=new.priority,
        )
        return job.id

    def delete_job(self, job_id: UUID) -> None:
        EmailJob.objects.filter(id=job_id).update(deleted_at=Now())

    def pass_time(self, seconds: float) -> None:
        """The clock is the database's, so every stored time goes back instead."""
        times = [field.name for field in EmailJob._meta.concrete_fields if isinstance(field, DateTimeField)]
        earlier: dict[str, Any] = {name: F(name) - timedelta(seconds=seconds) for name in times}
        EmailJob.objects.update(**earlier)


@pytest.mark.django_db
class TestEmailJobStore(EmailSubject, OneThreadTests):
    pass


@pytest.mark.django_db(transaction=True)
class TestThreadsOfEmailJobStore(EmailSubject, ConcurrencyTests):
    pass


def test_the_store_inherits_from_the_protocol_alone() -> None:
    assert JobStore in EmailJobStore.__mro__
    assert OrmJobStore not in EmailJobStore.__mro__ and MemoryJobStore not in EmailJobStore.__mro__


@pytest.mark.django_db
def test_a_job_that_kills_its_worker_every_time_ends_failed() -> None:
    """A store of the eleven methods keeps no crash count, so every death has to count as a retry."""
    job = EmailJob.objects.create(job_type="deadly", product="default", max_retries=2)
    store, deaths = EmailJobStore(), 0
    while deaths < 10 and (claimed := store.claim_next_job(str(uuid.uuid4()))) is not None:
        assert claimed.claim is not None
        ending = ending_after_death(claimed, claimed.claim, WorkerPoolConfig(), may_have_killed=True)
        assert store.finish_jobs([ending]) == [True]
        EmailJob.objects.update(run_after=Now())
        deaths += 1
    job.refresh_from_db()
    assert (deaths, job.status, job.retry_count) == (3, "FAILED", 2)
    assert job.error_details["error_code"] == "worker_died"


@pytest.mark.django_db(transaction=True)
def test_a_broken_connection_costs_one_call(backing_services: BackingServices) -> None:
    store, worker = EmailJobStore(), str(uuid.uuid4())
    job = EmailJob.objects.create(job_type="sent", product="default")
    with psycopg.connect(backing_services.database_url, autocommit=True) as other:
        for broken_call in (lambda: store.claim_next_job(worker), store.count_claimable_jobs):
            other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
            with pytest.raises(OperationalError):
                broken_call()
            assert store.count_claimable_jobs() == 1
    claimed = store.claim_next_job(worker)
    assert claimed is not None and claimed.id == job.id
