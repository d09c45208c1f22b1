"""Random lives of jobs, on every store, against a model that is a dict.

Two workers claim, work, die and wake up too late; time passes; somebody cancels, deletes and pauses. After
every step the store has to answer as the model does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.db.models import DateTimeField, F
from django.db.models.functions import Now
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from pleme_redis_django import JobClaim, JobStatus
from pleme_redis_django.exceptions import JobNotFound
from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    GivenBack,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_CRASHES, SUSPECT_AFTER_UNSEEN_DEATHS
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.operations import cancel_jobs, pause_queue, resume_queue
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.testing import ManualClock, MemoryJobStore

WORKERS = [str(uuid4()), str(uuid4())]
FAILURE = engine_failure("machine", "as the machine asked", "machine")
# Most attempts leave the job to another one: that is where zombies come from.
ENDINGS = [
    "given_back",
    "given_back",
    "retried",
    "snoozed",
    "died",
    "vanished",
    "vanished",
    "completed",
    "failed",
    "cancelled",
]
STEP_SECONDS = 60
STALE_SECONDS = 1_000


@dataclasses.dataclass
class Model:
    """What the store has to hold of one job."""

    status: JobStatus = JobStatus.QUEUED
    attempt: int = 0
    worker_id: str | None = None
    retry_count: int = 0
    crash_count: int = 0
    unseen_deaths: int = 0
    snoozes: int = 0
    due_at: int = 0
    heard_at: int = 0
    deleted: bool = False
    cancel_requested: bool = False

    @property
    def claim(self) -> JobClaim | None:
        if self.status is not JobStatus.RUNNING or self.worker_id is None:
            return None
        return JobClaim(worker_id=self.worker_id, attempt=self.attempt)


class JobLives(RuleBasedStateMachine):
    """The rules; a subclass says how to make a store and how time passes for it."""

    store: Any

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[UUID, Model] = {}
        self.now = 0
        self.paused = False
        self.claims: list[tuple[UUID, JobClaim]] = []
        """Every claim ever made: what a zombie may still hold."""
        self.touched: set[UUID] = set()
        """What the last step may have changed."""

    # Not abstract: Hypothesis has a metaclass of its own.

    def make_store(self) -> Any:
        raise NotImplementedError

    def add(self) -> UUID:
        raise NotImplementedError

    def delete(self, job_id: UUID) -> None:
        raise NotImplementedError

    def cancel(self, job_id: UUID) -> None:
        raise NotImplementedError

    def pause(self) -> None:
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    def pass_time(self, seconds: int) -> None:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.store = self.make_store()

    # Few jobs with long lives: a zombie needs one that was claimed twice.
    @precondition(lambda self: len(self.jobs) < 6)
    @rule()
    def enqueue(self) -> None:
        self.jobs[self.add()] = Model(due_at=self.now, heard_at=self.now)

    @precondition(lambda self: self.paused or self._ready(False) or self._ready(True))
    @rule(
        worker=st.sampled_from(WORKERS), limit=st.integers(min_value=1, max_value=3), suspects=st.booleans()
    )
    def claim(self, worker: str, limit: int, suspects: bool) -> None:
        ready = self._ready(suspects)
        claimed = self.store.claim_jobs(worker, limit, JobSelection(suspects=suspects))
        assert len(claimed) == min(limit, len(ready))
        for job in claimed:
            model = self.jobs[job.id]
            self.touched.add(job.id)
            assert job.id in ready
            model.status, model.worker_id, model.heard_at = JobStatus.RUNNING, worker, self.now
            model.attempt += 1
            assert job.claim == model.claim
            self.claims.append((job.id, job.claim))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), kind=st.sampled_from(ENDINGS))
    def end(self, data: st.DataObject, kind: str) -> None:
        """End an attempt, of a worker that holds it or of a zombie."""
        job_id, claim = data.draw(st.sampled_from(self.claims))
        model = self.jobs[job_id]
        self.touched.add(job_id)
        holds = model.claim == claim
        ending = self._ending(kind, job_id, claim, model)
        (accepted,) = self.store.finish_jobs([ending])
        if not holds:
            # True only for the repetition of what this attempt has ended with; nothing changes then.
            return
        assert accepted is True
        model.status, model.heard_at = ending.status, self.now
        if model.cancel_requested and not ending.status.is_terminal:
            model.status = JobStatus.CANCELLED
        match ending:
            case Retried():
                model.retry_count, model.due_at = ending.retry_count, self.now + STEP_SECONDS
                model.unseen_deaths = 0
            case Snoozed():
                model.snoozes += 1
                model.due_at, model.unseen_deaths = self.now + STEP_SECONDS, 0
            case GivenBack():
                model.crash_count += ending.crashed
                model.unseen_deaths += ending.unseen_death
                if ending.unseen_death and model.unseen_deaths >= SUSPECT_AFTER_UNSEEN_DEATHS:
                    model.crash_count = max(model.crash_count, SUSPECT_AFTER_CRASHES)
        if model.crash_count >= SUSPECT_AFTER_CRASHES and not isinstance(ending, GivenBack):
            model.crash_count = 0

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), started=st.booleans())
    def heartbeat(self, data: st.DataObject, started: bool) -> None:
        job_id, claim = data.draw(st.sampled_from(self.claims))
        self.touched.add(job_id)
        holds = self.jobs[job_id].claim == claim
        if started:
            assert self.store.mark_job_running(job_id, claim=claim) is holds
        assert self.store.update_progress(job_id, {"done": self.now}, claim=claim) is holds
        if holds:
            self.jobs[job_id].heard_at = self.now

    @rule(steps=st.integers(min_value=1, max_value=30))
    def expire(self, steps: int) -> None:
        self.now += steps * STEP_SECONDS
        self.pass_time(steps * STEP_SECONDS)

    @rule()
    def promote(self) -> None:
        due = [
            model
            for model in self.jobs.values()
            if model.status is JobStatus.PENDING and model.due_at <= self.now and not model.deleted
        ]
        assert self.store.promote_due_jobs(1_000) == len(due)
        for model in due:
            model.status = JobStatus.QUEUED

    @precondition(lambda self: len(self.jobs) == 3)
    @rule()
    def remove(self) -> None:
        # Always the same one, so that not everything ends up deleted.
        job_id = next(iter(self.jobs))
        self.touched.add(job_id)
        if not self.jobs[job_id].deleted:
            self.delete(job_id)
            self.jobs[job_id].deleted = True

    @precondition(lambda self: len(self.jobs) > 3)
    @rule(data=st.data())
    def request_cancel(self, data: st.DataObject) -> None:
        # Half of the jobs are never cancelled, so that not everything ends so.
        job_id = data.draw(st.sampled_from(list(self.jobs)[::2]))
        model = self.jobs[job_id]
        self.touched.add(job_id)
        if model.deleted or model.status.is_terminal:
            return
        self.cancel(job_id)
        model.cancel_requested = True
        if model.status is not JobStatus.RUNNING:
            model.status = JobStatus.CANCELLED

    @rule()
    def pause_or_resume(self) -> None:
        self.resume() if self.paused else self.pause()
        self.paused = not self.paused
        self.store.look_ahead(JobSelection())

    @invariant()
    def the_store_agrees_with_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        for job_id in self.touched:
            self._agrees(job_id, self.jobs[job_id])
        self.touched.clear()
        running = {job_id: model.claim for job_id, model in self.jobs.items() if model.claim is not None}
        assert {job.id: job.claim for job in self.store.find_stale_jobs(0)} == running
        silent = {job_id for job_id in running if self.now - self.jobs[job_id].heard_at > STALE_SECONDS}
        assert {job.id for job in self.store.find_stale_jobs(STALE_SECONDS)} == silent
        assert self.store.count_claimable_jobs() == len(self._ready(False)) + len(self._ready(True))

    def _agrees(self, job_id: UUID, model: Model) -> None:
        assert self.store.is_job_deleted(job_id) is model.deleted
        if not model.deleted:
            job = self.store.load_job(job_id)
            found = (job.status, job.attempt, job.retry_count, job.claim)
            assert found == (model.status, model.attempt, model.retry_count, model.claim)
            assert job.snoozes == model.snoozes
            assert (job.crash_count, job.unseen_deaths) == (model.crash_count, model.unseen_deaths)

    def _ready(self, suspects: bool) -> list[UUID]:
        return [
            job_id
            for job_id, model in self.jobs.items()
            if model.status is JobStatus.QUEUED
            and not model.deleted
            and not self.paused
            and (model.crash_count >= SUSPECT_AFTER_CRASHES) is suspects
        ]

    def _ending(self, kind: str, job_id: UUID, claim: JobClaim, model: Model) -> Ending:
        shared: dict[str, Any] = {"job_id": job_id, "claim": claim}
        match kind:
            case "completed":
                return Completed(**shared, results_json="1")
            case "failed":
                return Failed(**shared, failure=FAILURE)
            case "cancelled":
                return Cancelled(**shared, failure=FAILURE)
            case "retried":
                return Retried(
                    **shared, failure=FAILURE, retry_count=model.retry_count + 1, delay_seconds=STEP_SECONDS
                )
            case "snoozed":
                return Snoozed(**shared, retry_count=model.retry_count, delay_seconds=STEP_SECONDS)
            case _:
                return GivenBack(**shared, crashed=kind == "died", unseen_death=kind == "vanished")


class MemoryLives(JobLives):
    def make_store(self) -> MemoryJobStore:
        self.clock = ManualClock()
        return MemoryJobStore(clock=self.clock)

    def add(self) -> UUID:
        return self.store.add().id

    def delete(self, job_id: UUID) -> None:
        self.store.delete(job_id)

    def cancel(self, job_id: UUID) -> None:
        self.store.request_cancel(job_id)

    def pause(self) -> None:
        self.store.pause("default")

    def resume(self) -> None:
        self.store.resume("default")

    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)


class OrmLives(JobLives):
    """Each life is a transaction that is rolled back at its end."""

    using: ClassVar[str] = "default"

    def make_store(self) -> OrmJobStore[Job]:
        self._transaction = self._in_transaction()
        self._transaction.__enter__()
        return OrmJobStore(Job, using=self.using)

    def add(self) -> UUID:
        job = Job.objects.using(self.using).create(product="default", job_type="machine")
        return job.pk

    def delete(self, job_id: UUID) -> None:
        Job.objects.using(self.using).filter(pk=job_id).update(deleted_at=Now())

    def cancel(self, job_id: UUID) -> None:
        assert cancel_jobs(Job.objects.using(self.using).filter(pk=job_id)).total <= 1

    def pause(self) -> None:
        assert pause_queue("default", using=self.using)

    def resume(self) -> None:
        assert resume_queue("default", using=self.using)

    def pass_time(self, seconds: int) -> None:
        times = [field.name for field in Job._meta.concrete_fields if isinstance(field, DateTimeField)]
        earlier: dict[str, Any] = {name: F(name) - timedelta(seconds=seconds) for name in times}
        Job.objects.using(self.using).update(**earlier)

    def teardown(self) -> None:
        if hasattr(self, "_transaction"):
            self._transaction.__exit__(None, None, None)

    @contextmanager
    def _in_transaction(self) -> Iterator[None]:
        with transaction.atomic(using=self.using):
            yield
            transaction.set_rollback(True, using=self.using)


class SQLiteLives(OrmLives):
    using = "sqlite"


def bounds(lives: int) -> settings:
    return settings(
        max_examples=lives, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )


def test_lives_in_memory() -> None:
    run_machine(MemoryLives, settings=bounds(60))


@pytest.mark.django_db
def test_lives_on_postgres() -> None:
    run_machine(OrmLives, settings=bounds(8))


@pytest.mark.django_db(databases=["sqlite"])
def test_lives_on_sqlite() -> None:
    run_machine(SQLiteLives, settings=bounds(8))


def test_a_machine_notices_a_store_that_is_not_fenced() -> None:
    class Unfenced(MemoryJobStore):
        def _held(self, job_id: UUID, claim: JobClaim) -> Any:
            job = self._jobs.get(job_id)
            return job if job is not None and job.status is JobStatus.RUNNING else None

    class UnfencedLives(MemoryLives):
        def make_store(self) -> MemoryJobStore:
            self.clock = ManualClock()
            return Unfenced(clock=self.clock)

    with pytest.raises((AssertionError, JobNotFound)):
        # Without shrinking: that it is found at all is what counts.
        # From a seed that finds it soon; one in five does.
        run_machine(seed(14)(UnfencedLives), settings=settings(bounds(300), phases=[Phase.generate]))
