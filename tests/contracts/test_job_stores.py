"""The contract of job stores, on every store that the package ships."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models import DateTimeField, F
from django.db.models.functions import Now

from pleme_redis_django.models import FlowGate, Job, JobStatus
from pleme_redis_django.operations import cancel_jobs, delete_jobs, reset_limit, set_limit
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.flow.control import flow_control_of
from pleme_redis_django.orm_store.flow.gates import line_of
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.testing import JobStoreContract, ManualClock, MemoryJobStore, NewJob
from pleme_redis_django.testing.commits import as_if_committed
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
            concurrency_key=new.concurrency_key,
            order_key=new.order_key,
            cost=new.cost,
        ).id

    def delete_job(self, job_id: UUID) -> None:
        self.store.delete(job_id)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def set_limit(self, kind: str, name: str, **numbers: Any) -> None:
        self.store.limit(kind, name, numbers.pop("max_running", None))
        self.store.rate(kind, name, numbers.pop("rate", None), **numbers)

    def cancel_job(self, job_id: UUID) -> None:
        self.store.request_cancel(job_id)


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
            concurrency_key=new.concurrency_key,
            cost=new.cost,
            **_in_line(new),
        )
        flow_control_of(dialect_of(self._table), self._table).enqueued([job])
        return job.id

    def delete_job(self, job_id: UUID) -> None:
        with as_if_committed():
            assert delete_jobs(Job.objects.using(self.using).filter(id=job_id)) == 1

    def pass_time(self, seconds: float) -> None:
        """The clock is the database's, so every stored time goes back instead."""
        times = [field.name for field in Job._meta.concrete_fields if isinstance(field, DateTimeField)]
        earlier: dict[str, Any] = {name: F(name) - timedelta(seconds=seconds) for name in times}
        Job.objects.using(self.using).update(**earlier)
        gates = FlowGate.objects.using(self.using)
        passed = timedelta(seconds=seconds)
        gates.update(full_again_at=F("full_again_at") - passed, let_at=F("let_at") - passed)
        gates.filter(release_at__isnull=False).update(release_at=F("release_at") - passed)

    def set_limit(self, kind: str, name: str, **numbers: Any) -> None:
        with as_if_committed():
            if numbers:
                set_limit(kind, name, **numbers, using=self.using)
            else:
                reset_limit(kind, name, using=self.using)

    def cancel_job(self, job_id: UUID) -> None:
        with as_if_committed():
            assert cancel_jobs(Job.objects.using(self.using).filter(id=job_id)).total == 1

    @property
    def _table(self) -> JobTable[Job]:
        return JobTable(Job, self.using)


def _in_line(new: NewJob) -> dict[str, Any]:
    """Return what an enqueue stores of a job of an order: it waits in its line until it has its turn."""
    if new.order_key is None:
        return {}
    line = line_of(new.product, new.order_key)
    return {"order_key": new.order_key, "status": JobStatus.BLOCKED, "blocked_on": line}


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
