"""Random lives of limited jobs on PostgreSQL and SQLite. A store with a fault is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models import F
from hypothesis.stateful import run_state_machine_as_test as run_machine

from pleme_redis_django.jobs.maintenance.rescues import Rescues
from pleme_redis_django.models import FlowGate, FlowLimit, Job
from pleme_redis_django.operations import cancel_jobs
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.dialects.postgresql import flow_limits, flow_lines
from pleme_redis_django.orm_store.flow import declared, known_limits, rates
from pleme_redis_django.orm_store.flow.admission import Claimant
from pleme_redis_django.orm_store.flow.control import FlowControl
from pleme_redis_django.orm_store.flow.lines import Line
from pleme_redis_django.orm_store.flow.rates import look_at_gates
from pleme_redis_django.orm_store.flow.tokens import LetThrough, TakenTokens
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.worker_registry import OrmWorkerRegistry
from pleme_redis_django.testing.commits import as_if_committed
from tests.orm_store.flow.limit_lives import (
    BURST,
    EVERYTHING,
    PER_HOUR,
    RATED,
    LimitedLives,
    bounds,
    fault_is_found,
)
from tests.orm_store.flow.limited_workers import Worker
from tests.rows import ago, make_job, make_worker

MODEL = "pleme_redis_django.job"


class OrmLives(LimitedLives):
    """Each life is a transaction that is rolled back at its end."""

    using: ClassVar[str] = "default"

    def make_store(self) -> OrmJobStore[Any]:
        return OrmJobStore(Job, using=self.using)

    def begin_life(self) -> None:
        self.registry = OrmWorkerRegistry(using=self.using)
        self._transaction = self._in_transaction()
        self._transaction.__enter__()
        limits = FlowLimit.objects.using(self.using)
        self.limit = limits.create(
            job_model=MODEL, kind="key", name="customer", source="admin", max_running=self.stored_number(2)
        )
        every_hour = {"rate": PER_HOUR, "per_seconds": 3_600, "burst": BURST}
        self.rate = limits.create(job_model=MODEL, kind="type", name=RATED, source="admin", **every_hour)

    def end_life(self) -> None:
        self._transaction.__exit__(None, None, None)

    def add(self, *, dies: bool, **fields: Any) -> Any:
        if (order_key := fields["order_key"]) is None:
            return make_job(self.using, **fields)
        line, table = Line("default", order_key), JobTable(Job, self.using)
        job = make_job(self.using, status="BLOCKED", blocked_on=line.gate, **fields)
        if not dies:
            dialect_of(table).let_next(table, [line])
        return job

    def claim_some(self, worker: Worker, count: int) -> Sequence[Any]:
        worker.store._flow.known.read_first()
        found: Sequence[Any] = worker.store._claim(worker.store._request(worker.id, count, EVERYTHING))
        return found

    def admitted(self, worker: Worker) -> list[Any]:
        claimant = Claimant(worker_id=worker.id, selection=EVERYTHING, pauses=worker.store._pauses.current())
        return list(worker.store._flow.admit(claimant, worker.claimed))

    def lose(self, worker: Worker) -> None:
        make_worker(self.using, id=worker.id, lease_until=ago(1))

    def cancel(self, job_id: UUID, *, dies: bool) -> None:
        with nullcontext() if dies else as_if_committed():
            cancel_jobs(self._rows().filter(pk=job_id))

    def change_limit(self, number: int) -> None:
        FlowLimit.objects.using(self.using).filter(pk=self.limit.pk).update(max_running=number)

    def change_rate(self, starts: int) -> None:
        FlowLimit.objects.using(self.using).filter(pk=self.rate.pk).update(rate=starts)
        look_at_gates(JobTable(Job, self.using), [self.rate.pk])

    def pass_hours(self, hours: int) -> None:
        gates, passed = FlowGate.objects.using(self.using), timedelta(hours=hours)
        gates.update(full_again_at=F("full_again_at") - passed, let_at=F("let_at") - passed)
        gates.filter(release_at__isnull=False).update(release_at=F("release_at") - passed)
        self._rows().filter(status="PENDING").update(run_after=F("run_after") - passed)

    def look(self, worker: Worker) -> None:
        worker.store._flow.known.read_first()
        super().look(worker)

    def left(self) -> Sequence[Any]:
        rows = self._rows().exclude(status__in=["COMPLETED", "FAILED", "CANCELLED"])
        return list(rows.only("status", "blocked_on", "attempt", "order_key").order_by("pk"))

    def _rows(self) -> Any:
        return Job.objects.using(self.using)

    @contextmanager
    def _in_transaction(self) -> Iterator[None]:
        with transaction.atomic(using=self.using):
            yield
            transaction.set_rollback(True, using=self.using)


class SQLiteLives(OrmLives):
    using = "sqlite"


@pytest.fixture(autouse=True)
def _read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_limits, "REREAD_SECONDS", 0.0)
    monkeypatch.setattr(declared, "declared_limits", lambda model: {})


@pytest.mark.django_db
@pytest.mark.usefixtures("no_claim_is_slow")
def test_lives_on_postgres() -> None:
    run_machine(OrmLives, settings=bounds(12))


@pytest.mark.django_db(databases=["default", "sqlite"])
@pytest.mark.usefixtures("no_claim_is_slow")
def test_lives_on_sqlite() -> None:
    run_machine(SQLiteLives, settings=bounds(8))


class OneTooMany(OrmLives):
    """The store lets one more run than may."""

    def stored_number(self, number: int) -> int:
        return number + 1


def nobody_is_counted(patch: pytest.MonkeyPatch) -> type[OrmLives]:
    patch.setattr(flow_limits, "gates_over", lambda table, limits, among: ([], False))
    return OrmLives


def one_too_many_is_counted_as_none(patch: pytest.MonkeyPatch) -> type[OrmLives]:
    return OneTooMany


def everybody_gets_tokens(patch: pytest.MonkeyPatch) -> type[OrmLives]:
    def all_of_them(dialect: Any, table: Any, wanted: Mapping[Any, int]) -> dict[Any, TakenTokens]:
        return {gate: TakenTokens(count, 0.0) for gate, count in wanted.items()}

    patch.setattr(rates, "take", all_of_them)
    return OrmLives


def nobody_is_let_in(patch: pytest.MonkeyPatch) -> type[OrmLives]:
    patch.setattr(OrmJobStore, "release_after", lambda store, jobs: ())
    return OrmLives


def nobody_looks_when_tokens_are_back(patch: pytest.MonkeyPatch) -> type[OrmLives]:
    patch.setattr(FlowControl, "let_through", lambda flow: LetThrough(0, []))
    return OrmLives


def last_of_a_line_comes_first(patch: pytest.MonkeyPatch) -> type[OrmLives]:
    right = flow_lines.next_sql
    patch.setattr(
        flow_lines, "next_sql", lambda table: right(table).replace("run_after, job.id", "run_after DESC")
    )
    return OrmLives


class WithoutConstraint(OrmLives):
    """The database would refuse a second turn."""

    def begin_life(self) -> None:
        super().begin_life()
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX pleme_redis_django_job_turn")


def job_that_may_start_is_forgotten(patch: pytest.MonkeyPatch) -> type[OrmLives]:
    right = FlowControl.admit
    patch.setattr(FlowControl, "admit", lambda flow, claimant, jobs: right(flow, claimant, jobs)[1:])
    return OrmLives


def retried_head_has_no_turn(patch: pytest.MonkeyPatch) -> type[OrmLives]:
    right, of_line = flow_lines.next_sql, "product = line.product"
    patch.setattr(
        flow_lines,
        "next_sql",
        lambda table: right(table).replace(of_line, f"status <> 'PENDING' AND {of_line}"),
    )
    return WithoutConstraint


def rescue_lets_nobody_in(patch: pytest.MonkeyPatch) -> type[OrmLives]:
    patch.setattr(Rescues, "let_others_in", lambda rescues, ended: None)
    return OrmLives


@pytest.mark.django_db
@pytest.mark.usefixtures("no_claim_is_slow")
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (nobody_is_counted, "too many run"),
        (one_too_many_is_counted_as_none, "too many run"),
        (everybody_gets_tokens, "too many have started"),
        (nobody_is_let_in, "never ended|nobody has its turn"),
        (nobody_looks_when_tokens_are_back, "never ended"),
        (job_that_may_start_is_forgotten, "a place is taken by nobody"),
        (last_of_a_line_comes_first, "an older one has not ended"),
        (retried_head_has_no_turn, "two have their turn|an older one has not ended"),
        (rescue_lets_nobody_in, "never ended|nobody has its turn"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_random_search_finds_a_store_with_a_fault(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], type[OrmLives]], told: str
) -> None:
    fault_is_found(fault(monkeypatch), told)
