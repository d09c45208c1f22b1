"""Random lives of limited jobs on PostgreSQL and SQLite. A store with a fault is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.db import transaction
from django.db.models import F, Q
from hypothesis.stateful import run_state_machine_as_test as run_machine

from pleme_redis_django.models import FlowGate, FlowLimit, Job
from pleme_redis_django.operations import cancel_jobs
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.dialects.postgresql import flow_limits
from pleme_redis_django.orm_store.flow import declared, known_limits, rates
from pleme_redis_django.orm_store.flow.admission import Claimant
from pleme_redis_django.orm_store.flow.control import FlowControl
from pleme_redis_django.orm_store.flow.rates import look_at_gates
from pleme_redis_django.orm_store.flow.tokens import LetThrough, TakenTokens
from pleme_redis_django.orm_store.job_table import JobTable
from tests.orm_store.flow.limit_lives import (
    BURST,
    EVERYTHING,
    PER_HOUR,
    RATED,
    LimitedLives,
    Worker,
    bounds,
    fault_is_found,
)
from tests.rows import make_job

MODEL = "pleme_redis_django.job"


class OrmLives(LimitedLives):
    """Each life is a transaction that is rolled back at its end."""

    using: ClassVar[str] = "default"

    def make_store(self) -> OrmJobStore[Any]:
        return OrmJobStore(Job, using=self.using)

    def begin_life(self) -> None:
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

    def add(self, **fields: Any) -> None:
        make_job(self.using, **fields)

    def claim_some(self, worker: Worker, count: int) -> Sequence[Any]:
        worker.store._flow.known.read_first()
        found: Sequence[Any] = worker.store._claim(worker.store._request(worker.id, count, EVERYTHING))
        return found

    def admitted(self, worker: Worker) -> list[Any]:
        claimant = Claimant(worker_id=worker.id, selection=EVERYTHING, pauses=worker.store._pauses.current())
        return list(worker.store._flow.admit(claimant, worker.claimed))

    def cancel_first(self) -> None:
        first = self._rows().filter(status__in=["QUEUED", "BLOCKED"]).first()
        if first is not None:
            cancel_jobs(self._rows().filter(pk=first.pk))

    def change_limit(self, number: int) -> None:
        FlowLimit.objects.using(self.using).filter(pk=self.limit.pk).update(max_running=number)

    def change_rate(self, starts: int) -> None:
        FlowLimit.objects.using(self.using).filter(pk=self.rate.pk).update(rate=starts)
        look_at_gates(JobTable(Job, self.using), [self.rate.pk])

    def pass_hours(self, hours: int) -> None:
        gates, passed = FlowGate.objects.using(self.using), timedelta(hours=hours)
        gates.update(full_again_at=F("full_again_at") - passed, let_at=F("let_at") - passed)
        gates.filter(release_at__isnull=False).update(release_at=F("release_at") - passed)

    def look(self, worker: Worker) -> None:
        worker.store._flow.known.read_first()
        super().look(worker)

    def unclear(self) -> Sequence[Any]:
        waits, says_where = Q(status="BLOCKED"), Q(blocked_on__isnull=False)
        return self._rows().filter(waits ^ says_where)

    def left(self) -> Sequence[Any]:
        rows = self._rows().exclude(status__in=["COMPLETED", "CANCELLED"])
        return list(rows.values_list("id", "status", "blocked_on"))

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
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], type[OrmLives]], told: str
) -> None:
    fault_is_found(fault(monkeypatch), told)
