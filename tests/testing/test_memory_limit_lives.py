"""Random lives of limited jobs in a MemoryJobStore, by the rules by which a database's are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test as run_machine

from pleme_redis_django import JobStatus
from pleme_redis_django.testing import ManualClock, MemoryJobStore
from pleme_redis_django.testing.memory_limits import MemoryLimits
from pleme_redis_django.testing.memory_rates import MemoryRates
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


class MemoryLives(LimitedLives):
    """All workers share one store, and a claim is its own admission."""

    store: MemoryJobStore

    def make_store(self) -> MemoryJobStore:
        return self.store

    def begin_life(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryJobStore(clock=self.clock)
        self.change_limit(self.stored_number(2))
        self.change_rate(PER_HOUR)

    def add(self, **fields: Any) -> None:
        self.store.add(**fields)

    def claim(self, index: int, count: int) -> None:
        super().claim(index, count)
        self._admit(self.workers[index])

    def claim_some(self, worker: Worker, count: int) -> Sequence[Any]:
        return worker.store.claim_jobs(worker.id, count, EVERYTHING)

    def admitted(self, worker: Worker) -> list[Any]:
        return worker.claimed

    def cancel_first(self) -> None:
        waiting = [job for job in self.store.all() if job.status in (JobStatus.QUEUED, JobStatus.BLOCKED)]
        if waiting:
            self.store.request_cancel(waiting[0].id)

    def change_limit(self, number: int) -> None:
        self.store.limit("key", "customer", number)

    def change_rate(self, starts: int) -> None:
        self.store.rate("type", RATED, starts, per_seconds=3_600, burst=BURST)

    def pass_hours(self, hours: int) -> None:
        self.clock.advance(hours * 3_600)

    def unclear(self) -> Sequence[Any]:
        return [
            job
            for job in self.store.all()
            if (job.status is JobStatus.BLOCKED) is not (job.blocked_on is not None)
        ]

    def left(self) -> Sequence[Any]:
        return [
            (job.id, job.status, job.blocked_on) for job in self.store.all() if not job.status.is_terminal
        ]


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
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], type[MemoryLives]], told: str
) -> None:
    fault_is_found(fault(monkeypatch), told)
