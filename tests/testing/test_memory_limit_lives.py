"""Random lives of limited jobs in a MemoryJobStore, by the rules by which a database's are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis.stateful import run_state_machine_as_test as run_machine

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.maintenance.rescues import Rescues
from pleme_redis_django.testing import ManualClock, MemoryJobStore, memory_limits
from pleme_redis_django.testing.memory_limits import MemoryLimits
from pleme_redis_django.testing.memory_rates import MemoryRates
from tests.jobs.recording import MemoryRegistry
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


class MemoryLives(LimitedLives):
    """All workers share one store, and a claim is its own admission."""

    store: MemoryJobStore

    def make_store(self) -> MemoryJobStore:
        return self.store

    def begin_life(self) -> None:
        self.clock, self.registry = ManualClock(), MemoryRegistry()
        self.store = MemoryJobStore(clock=self.clock)
        self.change_limit(self.stored_number(2))
        self.change_rate(PER_HOUR)

    def add(self, *, dies: bool, **fields: Any) -> Any:
        return self.store.add(**fields)

    def claim(self, index: int, count: int) -> None:
        super().claim(index, count)
        self._admit(self.workers[index])

    def claim_some(self, worker: Worker, count: int) -> Sequence[Any]:
        return worker.store.claim_jobs(worker.id, count, EVERYTHING)

    def admitted(self, worker: Worker) -> list[Any]:
        return worker.claimed

    def lose(self, worker: Worker) -> None:
        self.registry.dead.append(worker.id)

    def cancel(self, job_id: UUID, *, dies: bool) -> None:
        self.store.request_cancel(job_id)

    def change_limit(self, number: int) -> None:
        self.store.limit("key", "customer", number)

    def change_rate(self, starts: int) -> None:
        self.store.rate("type", RATED, starts, per_seconds=3_600, burst=BURST)

    def pass_hours(self, hours: int) -> None:
        self.clock.advance(hours * 3_600)

    def left(self) -> Sequence[Any]:
        return [job for job in self.store.all() if not job.status.is_terminal]

    def has_turn(self, row: Any) -> bool:
        # One that no claim has looked at is not in its line so far.
        return row.has_turn or row.attempt > 0


def test_lives_in_memory() -> None:
    run_machine(MemoryLives, settings=bounds(60))


class OneTooMany(MemoryLives):
    """The store lets one more run than may."""

    def stored_number(self, number: int) -> int:
        return number + 1


def one_too_many_is_counted_as_none(patch: pytest.MonkeyPatch) -> type[MemoryLives]:
    return OneTooMany


def nobody_is_counted(patch: pytest.MonkeyPatch) -> type[MemoryLives]:
    patch.setattr(MemoryLimits, "full_gate", lambda limits, job, running: None)
    return MemoryLives


def everybody_gets_tokens(patch: pytest.MonkeyPatch) -> type[MemoryLives]:
    patch.setattr(MemoryRates, "start", lambda rates, jobs: list(jobs))
    return MemoryLives


def nobody_is_let_in(patch: pytest.MonkeyPatch) -> type[MemoryLives]:
    patch.setattr(MemoryJobStore, "release_overlooked", lambda store, *, at_once=False: ())
    return MemoryLives


def nobody_looks_when_tokens_are_back(patch: pytest.MonkeyPatch) -> type[MemoryLives]:
    patch.setattr(MemoryRates, "let_through", lambda rates, jobs: [])
    return MemoryLives


def last_of_a_line_comes_first(patch: pytest.MonkeyPatch) -> type[MemoryLives]:
    patch.setattr(memory_limits, "claim_order", lambda job: (job.priority, -job.run_after))
    return MemoryLives


def retried_head_has_no_turn(patch: pytest.MonkeyPatch) -> type[MemoryLives]:
    right = MemoryLimits.line_before
    patch.setattr(
        MemoryLimits,
        "line_before",
        lambda limits, job, jobs: right(
            limits, job, [other for other in jobs if other.status is not JobStatus.PENDING]
        ),
    )
    return MemoryLives


def rescue_lets_nobody_in(patch: pytest.MonkeyPatch) -> type[MemoryLives]:
    patch.setattr(Rescues, "let_others_in", lambda rescues, ended: None)
    return MemoryLives


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (nobody_is_counted, "too many run"),
        (one_too_many_is_counted_as_none, "too many run"),
        (everybody_gets_tokens, "too many have started"),
        (nobody_is_let_in, "never ended|nobody has its turn"),
        (nobody_looks_when_tokens_are_back, "never ended"),
        (last_of_a_line_comes_first, "an older one has not ended"),
        (retried_head_has_no_turn, "two have their turn|an older one has not ended"),
        (rescue_lets_nobody_in, "never ended|nobody has its turn"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_random_search_finds_a_store_with_a_fault(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], type[MemoryLives]], told: str
) -> None:
    fault_is_found(fault(monkeypatch), told)
