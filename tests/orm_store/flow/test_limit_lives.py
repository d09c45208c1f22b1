"""Random lives of limited jobs: two workers, three keys, and every moment at which one may be interrupted.

A claim and its admission are two steps, and so are an ending and the look at who waits: anything may come between.
Workers die and are rescued, jobs are cancelled, limits are edited. Never more start than the limit, and at the end
everything has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from pleme_redis_django.jobs.interface.endings import Completed, GivenBack
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import FlowLimit, Job
from pleme_redis_django.operations import cancel_jobs
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.dialects.postgresql import flow_limits
from pleme_redis_django.orm_store.flow import declared, known_limits
from pleme_redis_django.orm_store.flow.admission import Claimant
from tests.rows import make_job

KEYS = ["customer:a", "customer:b", "customer:c"]
EVERYTHING = JobSelection()
WORKERS = st.sampled_from([0, 1])
SETTLING_ROUNDS = 100


class Worker:
    """One process: what it has claimed, what it runs, and whose places it has not given away yet."""

    def __init__(self, using: str) -> None:
        self.store: OrmJobStore[Any] = OrmJobStore(Job, using=using)
        self.id = str(uuid4())
        self.claimed: list[Any] = []
        self.running: list[Any] = []
        self.ended: list[Any] = []


class LimitedLives(RuleBasedStateMachine):
    """The rules."""

    using: ClassVar[str] = "default"

    @initialize()
    def begin(self) -> None:
        self._transaction = self._in_transaction()
        self._transaction.__enter__()
        self.limit = FlowLimit.objects.using(self.using).create(
            job_model="pleme_redis_django.job", kind="key", name="customer", source="admin", max_running=2
        )
        self.number = 2
        self.workers = [Worker(self.using), Worker(self.using)]
        self.dead: list[Any] = []

    @rule(key=st.sampled_from([*KEYS, None]), priority=st.integers(0, 1))
    def enqueue(self, key: str | None, priority: int) -> None:
        make_job(self.using, concurrency_key=key, priority=priority)

    @rule(index=WORKERS, count=st.integers(1, 4))
    def claim(self, index: int, count: int) -> None:
        worker = self.workers[index]
        worker.store._flow.known.read_first()
        worker.claimed += worker.store._claim(worker.store._request(worker.id, count, EVERYTHING))

    @rule(index=WORKERS)
    def admit(self, index: int) -> None:
        worker = self.workers[index]
        if not worker.claimed:
            return
        before = self._executing()
        claimant = Claimant(worker_id=worker.id, selection=EVERYTHING, pauses=worker.store._pauses.current())
        admitted = list(worker.store._flow.admit(claimant, worker.claimed))
        worker.claimed = []
        worker.running += admitted
        for key, count in self._executing().items():
            assert count <= max(self.number, before.get(key, 0)), (key, count, self.number)

    @rule(index=WORKERS, which=st.integers(0, 3))
    def end(self, index: int, which: int) -> None:
        worker = self.workers[index]
        if which < len(worker.running):
            job = worker.running.pop(which)
            assert worker.store.finish_jobs([Completed(job_id=job.id, claim=job.claim)]) == [True]
            worker.ended.append(job)

    @rule(index=WORKERS, which=st.integers(0, 3))
    def give_back(self, index: int, which: int) -> None:
        worker = self.workers[index]
        if which < len(worker.running):
            job = worker.running.pop(which)
            assert worker.store.finish_jobs([GivenBack(job_id=job.id, claim=job.claim)]) == [True]
            worker.ended.append(job)

    @rule(index=WORKERS)
    def let_others_in(self, index: int) -> None:
        worker = self.workers[index]
        ended, worker.ended = worker.ended, []
        worker.store.release_after(ended)

    @rule(index=WORKERS)
    def die(self, index: int) -> None:
        worker, self.workers[index] = self.workers[index], Worker(self.using)
        # What it ran may run on for a moment: its places are taken until it is rescued.
        self.dead += [*worker.claimed, *worker.running]

    @rule(index=WORKERS)
    def rescue(self, index: int) -> None:
        worker = self.workers[index]
        dead, self.dead = self.dead, []
        if dead:
            worker.store.finish_jobs([GivenBack(job_id=job.id, claim=job.claim) for job in dead])
            worker.ended += dead

    @rule()
    def cancel_one(self) -> None:
        first = Job.objects.using(self.using).filter(status__in=["QUEUED", "BLOCKED"]).first()
        if first is not None:
            cancel_jobs(Job.objects.using(self.using).filter(pk=first.pk))

    @rule(number=st.integers(0, 3))
    def edit(self, number: int) -> None:
        FlowLimit.objects.using(self.using).filter(pk=self.limit.pk).update(max_running=number)
        self.number = number

    @rule(index=WORKERS)
    def sweep(self, index: int) -> None:
        self.workers[index].store.release_overlooked()

    @invariant()
    def who_waits_says_where(self) -> None:
        if hasattr(self, "limit"):
            blocked = Job.objects.using(self.using).filter(status="BLOCKED")
            assert not blocked.filter(blocked_on=None).exists()
            assert (
                not Job.objects.using(self.using).exclude(status="BLOCKED").exclude(blocked_on=None).exists()
            )

    def teardown(self) -> None:
        if not hasattr(self, "_transaction"):
            return
        try:
            self._let_all_end()
        finally:
            self._transaction.__exit__(None, None, None)

    def _let_all_end(self) -> None:
        """From wherever it has got to, everything ends, without the sweep: nobody was forgotten."""
        self.edit(max(self.number, 1))
        self.workers[0].store.release_overlooked(at_once=True)  # As the edit of an operator does.
        self.rescue(0)
        for turn in range(SETTLING_ROUNDS):
            self.let_others_in(0)
            self.let_others_in(1)
            if not self._left():
                return
            self.claim(turn % 2, 4)
            self.admit(0)
            self.admit(1)
            for index in (0, 1):
                while self.workers[index].running:
                    self.end(index, 0)
        raise AssertionError(f"these never ended: {self._left()}")

    def _left(self) -> list[Any]:
        rows = Job.objects.using(self.using).exclude(status__in=["COMPLETED", "CANCELLED"])
        return list(rows.values_list("id", "status", "blocked_on"))

    def _executing(self) -> dict[str | None, int]:
        found: dict[str | None, int] = {}
        for job in [*self.workers[0].running, *self.workers[1].running]:
            if job.concurrency_key is not None:
                found[job.concurrency_key] = found.get(job.concurrency_key, 0) + 1
        return found

    @contextmanager
    def _in_transaction(self) -> Iterator[None]:
        with transaction.atomic(using=self.using):
            yield
            transaction.set_rollback(True, using=self.using)


class LimitedSQLiteLives(LimitedLives):
    using = "sqlite"


def bounds(lives: int) -> settings:
    return settings(
        max_examples=lives,
        stateful_step_count=30,
        deadline=None,
        # Shrinking takes minutes: each life is a transaction, and ends with everything that it has begun.
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(autouse=True)
def _read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_limits, "REREAD_SECONDS", 0.0)
    monkeypatch.setattr(declared, "declared_limits", lambda model: {})


@pytest.mark.django_db
@pytest.mark.usefixtures("no_claim_is_slow")
def test_lives_on_postgres() -> None:
    run_machine(LimitedLives, settings=bounds(12))


@pytest.mark.django_db(databases=["default", "sqlite"])
@pytest.mark.usefixtures("no_claim_is_slow")
def test_lives_on_sqlite() -> None:
    run_machine(LimitedSQLiteLives, settings=bounds(8))


def four_claimed() -> LimitedLives:
    lives = LimitedLives()
    lives.begin()
    for _ in range(4):
        lives.enqueue(KEYS[0], 0)
    lives.claim(0, 4)
    return lives


@pytest.mark.django_db
def test_the_machine_notices_when_nobody_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_limits, "gates_over", lambda table, limits: ([], False))
    lives = four_claimed()
    with pytest.raises(AssertionError):
        lives.admit(0)
    lives.teardown()


@pytest.mark.django_db
def test_the_machine_notices_when_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrmJobStore, "release_after", lambda store, jobs: ())
    lives = four_claimed()
    lives.admit(0)
    with pytest.raises(AssertionError, match="never ended"):
        lives.teardown()
