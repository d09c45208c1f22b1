"""Random lives of limited jobs: two workers, three keys, and every moment at which one may be interrupted.

A claim and its admission are two steps, and so are an ending and the look at who waits: anything may come between.
Workers die and are rescued, jobs are cancelled, limits and rates are edited, hours pass. Never more run than the limit,
never more start than the rate lets, and at the end everything has ended. A store with a fault is found out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from django.db import transaction
from django.db.models import F, Q
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from pleme_redis_django.jobs.interface.endings import Completed, GivenBack
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import FlowGate, FlowLimit, Job
from pleme_redis_django.operations import cancel_jobs
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.dialects.postgresql import flow_limits
from pleme_redis_django.orm_store.flow import declared, known_limits, rates
from pleme_redis_django.orm_store.flow.admission import Claimant
from pleme_redis_django.orm_store.flow.control import FlowControl
from pleme_redis_django.orm_store.flow.rates import look_at_gates
from pleme_redis_django.orm_store.flow.tokens import LetThrough
from pleme_redis_django.orm_store.job_table import JobTable
from tests.rows import make_job

MODEL = "pleme_redis_django.job"
KEYS = ["customer:a", "customer:b", "customer:c"]
EVERYTHING = JobSelection()
WORKERS = st.sampled_from([0, 1])
SETTLING_ROUNDS = 60
RATED = "tests.rated"
PER_HOUR, BURST = 1, 3
LIVES_UNTIL_FOUND = 100
LUCKY_SEED = 4  # It finds each fault within four lives, where another one may take thirty.


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
            job_model=MODEL, kind="key", name="customer", source="admin", max_running=self.stored_number(2)
        )
        self.rate = FlowLimit.objects.using(self.using).create(
            job_model=MODEL,
            kind="type",
            name=RATED,
            source="admin",
            rate=PER_HOUR,
            per_seconds=3_600,
            burst=BURST,
        )
        self.number, self.is_paused, self.hours = 2, False, 0
        self.starts: list[tuple[int, int]] = []
        """Of each start by the rate, its hour and its cost."""
        self.workers = [Worker(self.using), Worker(self.using)]
        self.dead: list[Any] = []
        self.zombies: list[Any] = []

    def anybody(self, holds: str) -> bool:
        """Whether one of the workers has something of that name."""
        return any(getattr(worker, holds) for worker in self.workers)

    def one_with(self, holds: str, index: int) -> Worker:
        """Return the worker, or the other one where it has nothing of that name."""
        worker = self.workers[index]
        return worker if getattr(worker, holds) else self.workers[1 - index]

    def stored_number(self, number: int) -> int:
        """Return what the row of the limit says where ``number`` may run."""
        return number

    @rule(
        key=st.sampled_from([*KEYS, None]),
        priority=st.integers(0, 1),
        cost=st.sampled_from([1, 1, 2]),
        job_type=st.sampled_from(["tests.noop", RATED]),
        count=st.integers(1, 3),
    )
    def enqueue(self, key: str | None, priority: int, cost: int, job_type: str, count: int) -> None:
        for _ in range(count):
            make_job(self.using, concurrency_key=key, priority=priority, cost=cost, job_type=job_type)

    @rule(index=WORKERS, count=st.integers(1, 6))
    def claim(self, index: int, count: int) -> None:
        worker = self.workers[index]
        worker.store._flow.known.read_first()
        worker.claimed += worker.store._claim(worker.store._request(worker.id, count, EVERYTHING))

    @precondition(lambda self: self.anybody("claimed"))
    @rule(index=WORKERS)
    def admit(self, index: int) -> None:
        self._admit(self.one_with("claimed", index))

    @rule(index=WORKERS, count=st.integers(1, 6))
    def claim_and_admit(self, index: int, count: int) -> None:
        """As it goes mostly: nothing comes between the two."""
        self.claim(index, count)
        self._admit(self.workers[index])

    def _admit(self, worker: Worker) -> None:
        if not worker.claimed:
            return
        before = self._executing()
        claimant = Claimant(worker_id=worker.id, selection=EVERYTHING, pauses=worker.store._pauses.current())
        admitted = list(worker.store._flow.admit(claimant, worker.claimed))
        worker.claimed = []
        worker.running += admitted
        for key, count in self._executing().items():
            assert count <= max(self.number, before.get(key, 0)), ("too many run", key, count, self.number)
        self.starts += [(self.hours, job.cost) for job in admitted if job.job_type == RATED]
        for since in range(self.hours + 1):
            started = sum(cost for hour, cost in self.starts if hour >= since)
            most = BURST + PER_HOUR * (self.hours - since)
            assert started <= most, ("too many have started", since, self.starts)

    @precondition(lambda self: self.anybody("running"))
    @rule(index=WORKERS, which=st.integers(0, 3), give_back=st.booleans())
    def end(self, index: int, which: int, give_back: bool) -> None:
        worker = self.one_with("running", index)
        job = worker.running.pop(which % len(worker.running))
        ending: Any = GivenBack if give_back else Completed
        assert worker.store.finish_jobs([ending(job_id=job.id, claim=job.claim)]) == [True]
        worker.ended.append(job)

    @precondition(lambda self: self.anybody("ended"))
    @rule(index=WORKERS)
    def let_others_in(self, index: int) -> None:
        self._let_others_in(self.one_with("ended", index))

    def _let_others_in(self, worker: Worker) -> None:
        ended, worker.ended = worker.ended, []
        worker.store.release_after(ended)

    @precondition(lambda self: self.anybody("claimed") or self.anybody("running"))
    @rule(index=WORKERS)
    def die(self, index: int) -> None:
        worker, self.workers[index] = self.workers[index], Worker(self.using)
        self.dead += [*worker.claimed, *worker.running]
        # What it ran may run on for a moment: its places are taken until it is rescued.
        self.zombies += worker.running
        if worker.ended:
            # It dies between an ending and the look at who waits: only the sweep sees to that.
            self.workers[index].store.release_overlooked(at_once=True)

    @precondition(lambda self: self.dead)
    @rule(index=WORKERS)
    def rescue(self, index: int) -> None:
        worker = self.workers[index]
        worker.store.finish_jobs([GivenBack(job_id=job.id, claim=job.claim) for job in self.dead])
        worker.ended += self.dead
        self.dead, self.zombies = [], []

    @precondition(lambda self: self._left())
    @rule()
    def cancel_one(self) -> None:
        first = Job.objects.using(self.using).filter(status__in=["QUEUED", "BLOCKED"]).first()
        if first is not None:
            cancel_jobs(Job.objects.using(self.using).filter(pk=first.pk))

    @rule(number=st.integers(0, 3))
    def edit(self, number: int) -> None:
        FlowLimit.objects.using(self.using).filter(pk=self.limit.pk).update(
            max_running=self.stored_number(number)
        )
        self.number = number
        self.workers[0].store.release_overlooked(at_once=True)  # As the edit of an operator does.

    @rule(paused=st.booleans())
    def pause_rate(self, paused: bool) -> None:
        FlowLimit.objects.using(self.using).filter(pk=self.rate.pk).update(rate=0 if paused else PER_HOUR)
        self.is_paused = paused
        look_at_gates(JobTable(Job, self.using), [self.rate.pk])

    @precondition(lambda self: self.starts)
    @rule(hours=st.integers(1, 5))
    def let_hours_pass(self, hours: int) -> None:
        gates, passed = FlowGate.objects.using(self.using), timedelta(hours=hours)
        gates.update(full_again_at=F("full_again_at") - passed, let_at=F("let_at") - passed)
        gates.filter(release_at__isnull=False).update(release_at=F("release_at") - passed)
        self.hours += hours

    @precondition(lambda self: self.starts)
    @rule(index=WORKERS)
    def look_for_tokens(self, index: int) -> None:
        self.workers[index].store._flow.known.read_first()
        self.workers[index].store.promote_due_jobs(1_000)

    @rule(index=WORKERS)
    def sweep(self, index: int) -> None:
        self.workers[index].store.release_overlooked()

    @invariant()
    def who_waits_says_where(self) -> None:
        if hasattr(self, "limit"):
            waits, says_where = Q(status="BLOCKED"), Q(blocked_on__isnull=False)
            assert not Job.objects.using(self.using).filter(waits ^ says_where).exists()

    def teardown(self) -> None:
        if not hasattr(self, "_transaction"):
            return
        try:
            self._let_all_end()
        finally:
            self._transaction.__exit__(None, None, None)

    def _let_all_end(self) -> None:
        """From wherever it has got to, everything ends, without the sweep: nobody was forgotten."""
        if self.number < 2:
            self.edit(2)  # Each fits into it.
        if self.is_paused:
            self.pause_rate(False)
        self.rescue(0)
        for turn in range(SETTLING_ROUNDS):
            for worker in self.workers:
                self._let_others_in(worker)
            if not self._left():
                return
            self.let_hours_pass(BURST)
            self.look_for_tokens(turn % 2)
            self.claim(turn % 2, 20)
            for index, worker in enumerate(self.workers):
                self._admit(worker)
                while worker.running:
                    self.end(index, 0, give_back=False)
        raise AssertionError(f"these never ended: {self._left()}")

    def _left(self) -> list[Any]:
        rows = Job.objects.using(self.using).exclude(status__in=["COMPLETED", "CANCELLED"])
        return list(rows.values_list("id", "status", "blocked_on"))

    def _executing(self) -> dict[str | None, int]:
        found: dict[str | None, int] = {}
        for job in [*self.workers[0].running, *self.workers[1].running, *self.zombies]:
            if job.concurrency_key is not None:
                found[job.concurrency_key] = found.get(job.concurrency_key, 0) + job.cost
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


class OneTooMany(LimitedLives):
    """The store lets one more run than may."""

    def stored_number(self, number: int) -> int:
        return number + 1


def nobody_is_counted(patch: pytest.MonkeyPatch) -> type[LimitedLives]:
    patch.setattr(flow_limits, "gates_over", lambda table, limits, among: ([], False))
    return LimitedLives


def one_too_many_is_counted_as_none(patch: pytest.MonkeyPatch) -> type[LimitedLives]:
    return OneTooMany


def everybody_gets_tokens(patch: pytest.MonkeyPatch) -> type[LimitedLives]:
    patch.setattr(rates, "take", lambda dialect, table, wanted: dict(wanted))
    return LimitedLives


def nobody_is_let_in(patch: pytest.MonkeyPatch) -> type[LimitedLives]:
    patch.setattr(OrmJobStore, "release_after", lambda store, jobs: ())
    return LimitedLives


def nobody_looks_when_tokens_are_back(patch: pytest.MonkeyPatch) -> type[LimitedLives]:
    patch.setattr(FlowControl, "let_through", lambda flow: LetThrough(0, []))
    return LimitedLives


@pytest.mark.django_db
@pytest.mark.usefixtures("no_claim_is_slow")
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (nobody_is_counted, "too many run"),
        (one_too_many_is_counted_as_none, "too many run"),
        (everybody_gets_tokens, "too many have started"),
        (nobody_is_let_in, "never ended"),
        (nobody_looks_when_tokens_are_back, "never ended"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_random_search_finds_a_store_with_a_fault(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], type[LimitedLives]], told: str
) -> None:
    machine = type("Seeded", (fault(monkeypatch),), {})
    search = settings(bounds(LIVES_UNTIL_FOUND), phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError, match=told):
        run_machine(seed(LUCKY_SEED)(machine), settings=search)
