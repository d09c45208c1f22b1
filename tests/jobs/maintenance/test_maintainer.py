"""The maintainer: what is done when, by whom, and what one failure does to the others."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.jobs.interface.events import StoreBack
from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.maintenance.elections import Elections
from pleme_redis_django.jobs.maintenance.maintainer import Maintainer
from pleme_redis_django.jobs.worker.agenda import Agenda
from tests.jobs.recording import WORKER, MemoryRegistry, RecordingSink

NEVER = float("inf")


class Bench:
    def __init__(self) -> None:
        self.registry, self.sink = MemoryRegistry(), RecordingSink()
        self.probe_error: Exception | None = None
        self.done: list[str] = []
        self.maintainer = Maintainer(
            "maintenance",
            Elections(self.registry, WorkerIdentity(WorkerDescription(worker_id=WORKER)), "jobs"),
            self.sink,
            Agenda(60),
            probe=self._probe,
        )

    def duty(self, name: str, *, fails: bool = False, **fields: Any) -> None:
        def run() -> None:
            self.done.append(name)
            if fails:
                raise ConnectionError("away")

        self.maintainer.take_on(Duty(name=name, run=run, **{"every_seconds": NEVER, **fields}))

    def turn(self, *names: str) -> float:
        for name in names:
            self.maintainer.do_in(0.0, name)
        return self.maintainer.turn()

    def _probe(self) -> None:
        if self.probe_error is not None:
            raise self.probe_error


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_duty_waits_for_its_interval_unless_somebody_asks_for_it(bench: Bench) -> None:
    bench.duty("seldom", every_seconds=1_000)
    bench.duty("asked_for")
    assert 900 < bench.turn() <= 1_000
    assert bench.done == []
    assert 900 < bench.turn("asked_for") <= 1_000
    assert bench.done == ["asked_for"]
    bench.maintainer.do_in(20, "asked_for")
    assert 10 < bench.turn() <= 20


def test_a_failure_is_raised_once_all_others_are_done(bench: Bench) -> None:
    bench.duty("failing", fails=True)
    bench.duty("other")
    with pytest.raises(ConnectionError):
        bench.turn("failing", "other")
    assert bench.done == ["failing", "other"]


def test_a_role_is_asked_for_once_a_term(bench: Bench) -> None:
    bench.duty("elected", role="caretaker", every_seconds=100)
    for _ in range(3):
        bench.turn("elected")
    assert bench.done == ["elected"] * 3
    assert bench.registry.elections == [("caretaker:jobs", 300)]


def test_who_is_not_elected_or_may_not_does_nothing(bench: Bench) -> None:
    bench.registry.elected = False
    bench.duty("elected", role="caretaker")
    bench.duty("forbidden", role="sweeper", condition=lambda: False)
    bench.turn("elected", "forbidden")
    assert bench.done == []
    assert [role for role, _term in bench.registry.elections] == ["caretaker:jobs"]


def test_a_duty_that_asks_nothing_does_not_tell_that_the_store_is_back(bench: Bench) -> None:
    bench.duty("idle")
    bench.maintainer.thread.outage.report(ConnectionError("away"))
    bench.probe_error = ConnectionError("still away")
    with pytest.raises(ConnectionError):
        bench.turn("idle")
    assert not bench.sink.of(StoreBack)
    bench.probe_error = None
    bench.turn("idle")
    assert len(bench.sink.of(StoreBack)) == 1
