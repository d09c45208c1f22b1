"""A pool that a program starts itself, and one of whose threads an error ends: it drains, stops and says so."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django import JobStatus, WorkerPool, WorkerPoolConfig
from pleme_redis_django.exceptions import WorkerPoolBroken
from pleme_redis_django.jobs.interface.events import DrainRequested, EngineBroken, WorkerStopped
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import FunctionExecutor, MemoryHints, MemoryRegistry, RecordingSink
from tests.waiting import wait_until

CONFIG = WorkerPoolConfig(
    worker_count=2,
    heartbeat_seconds=0.05,
    lease_seconds=60,
    lease_sweep_seconds=0.05,
    poll_timeout=0.1,
    grace_seconds=10,
)


class Bench:
    def __init__(self, config: WorkerPoolConfig = CONFIG) -> None:
        self.store, self.registry, self.sink = MemoryJobStore(), MemoryRegistry(), RecordingSink()
        self.hints = MemoryHints()
        self.began, self.gate = threading.Event(), threading.Event()
        self.raised: list[BaseException] = []
        self.pool: WorkerPool[Any] = WorkerPool(
            config, self.hints, FunctionExecutor(self.run), self.store, registry=self.registry, sink=self.sink
        )

    def run(self, job: Any) -> None:
        self.began.set()
        assert self.gate.wait(10)

    def start(self) -> None:
        try:
            self.pool.start()
        except WorkerPoolBroken as error:
            self.raised.append(error)


def _break(*_arguments: Any, **_options: Any) -> Any:
    raise SystemExit("as asked")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("pleme-claimer", lambda bench: (bench.store, "look_ahead")),
        ("pleme-heartbeat", lambda bench: (bench.registry, "heartbeat")),
        ("pleme-maintenance", lambda bench: (bench.store, "held_jobs")),
        ("pleme-hints", lambda bench: (bench.hints, "wait_for_hint")),
    ],
)
def test_a_pool_that_lost_a_thread_lets_its_jobs_end_and_stops(
    name: str, part: Callable[[Bench], tuple[Any, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench()
    bench.store.add()
    running = threading.Thread(target=bench.start, daemon=True)
    running.start()
    assert bench.began.wait(10)
    monkeypatch.setattr(*part(bench), _break)
    wait_until(lambda: bench.sink.of(EngineBroken))
    bench.gate.set()
    running.join(20)
    assert not running.is_alive()
    assert [str(error.__cause__) for error in bench.raised] == ["as asked"]
    assert bench.sink.of(EngineBroken)[0].thread == name
    assert len(bench.sink.of(WorkerStopped)) == 1
    assert [job.status for job in bench.store.all()] == [JobStatus.COMPLETED]


def test_a_pool_that_cannot_write_endings_any_more_stops_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # The job, whose ending nobody writes any more, has a short grace.
    bench = Bench(dataclasses.replace(CONFIG, grace_seconds=0.2))
    bench.store.add()
    monkeypatch.setattr(bench.store, "finish_jobs", _break)
    bench.gate.set()
    bench.pool.launch()
    wait_until(lambda: bench.sink.of(WorkerStopped))
    assert {event.thread for event in bench.sink.of(EngineBroken)} >= {"pleme-finisher"}
    assert isinstance(bench.pool.error, SystemExit)
    assert bench.registry.deregistered == [], "Its lease runs out, so that its job is rescued."


def test_a_pool_that_loses_a_thread_while_it_drains_stops_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(dataclasses.replace(CONFIG, grace_seconds=0.2))
    bench.store.add()
    running = threading.Thread(target=bench.start, daemon=True)
    running.start()
    assert bench.began.wait(10)
    bench.pool._parts.agenda.leaving.drain()
    wait_until(lambda: bench.sink.of(DrainRequested))
    monkeypatch.setattr(bench.store, "finish_jobs", _break)
    bench.gate.set()
    running.join(20)
    assert not running.is_alive()
    assert [str(error.__cause__) for error in bench.raised] == ["as asked"]
    assert [event.thread for event in bench.sink.of(EngineBroken)] == ["pleme-finisher"]
    assert bench.registry.deregistered == [], "Its lease runs out, so that its job is rescued."
