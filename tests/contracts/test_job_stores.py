"""The contract of job stores, on every store that the package ships."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models import DateTimeField, F
from django.db.models.functions import Now

from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.testing import JobStoreContract, ManualClock, MemoryJobStore, NewJob
from pleme_redis_django.testing.store_contract import ConcurrencyTests, OneThreadTests, StoreSubject


class TestMemoryJobStore(JobStoreContract):
    def make_store(self) -> MemoryJobStore:
        self.clock = ManualClock()
        return MemoryJobStore(clock=self.clock)

    def add_job(self, new: NewJob) -> UUID:
        return self.store.add(
            new.job_type,
            parameters=dict(new.parameters),
            max_retries=new.max_retries,
            queue_name=new.queue_name,
            product=new.product,
            priority=new.priority,
            expires_at=None if new.expires_in_seconds is None else self.clock() + new.expires_in_seconds,
        ).id

    def delete_job(self, job_id: UUID) -> None:
        self.store.delete(job_id)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)


class OrmSubject(StoreSubject):
    using = "default"

    def make_store(self) -> OrmJobStore[Job]:
        return OrmJobStore(Job, using=self.using)

    def add_job(self, new: NewJob) -> UUID:
        job: Job = Job.objects.using(self.using).create(
            job_type=new.job_type,
            parameters=dict(new.parameters),
            max_retries=new.max_retries,
            queue_name=new.queue_name,
            product=new.product,
            priority=new.priority,
            expires_at=None
            if new.expires_in_seconds is None
            else Now() + timedelta(seconds=new.expires_in_seconds),
        )
        return job.id

    def delete_job(self, job_id: UUID) -> None:
        Job.objects.using(self.using).filter(id=job_id).update(deleted_at=Now())

    def pass_time(self, seconds: float) -> None:
        """The clock is the database's, so every stored time goes back instead."""
        times = [field.name for field in Job._meta.concrete_fields if isinstance(field, DateTimeField)]
        earlier: dict[str, Any] = {name: F(name) - timedelta(seconds=seconds) for name in times}
        Job.objects.using(self.using).update(**earlier)


# The threads' connections see only what is committed; all else runs in the test's own transaction.


@pytest.mark.django_db
class TestOrmJobStoreOnPostgres(OrmSubject, OneThreadTests):
    pass


@pytest.mark.django_db(transaction=True)
class TestThreadsOnPostgres(OrmSubject, ConcurrencyTests):
    pass


@pytest.mark.django_db(databases=["sqlite"])
class TestOrmJobStoreOnSQLite(OrmSubject, OneThreadTests):
    using = "sqlite"


@pytest.mark.django_db(transaction=True, databases=["sqlite"])
class TestThreadsOnSQLite(OrmSubject, ConcurrencyTests):
    using = "sqlite"
