"""The lease: when a process may believe that it lives, and when it may judge others."""

from __future__ import annotations

import pytest

from pleme_redis_django import WorkerPoolConfig
from pleme_redis_django.jobs.interface.events import LeaseLost, StoreUnavailable
from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity, WorkerStanding
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage
from pleme_redis_django.jobs.worker.heartbeat import Heartbeat
from pleme_redis_django.jobs.worker.holdings import Holdings
from pleme_redis_django.testing import ManualClock, MemoryJobStore
from tests.jobs.recording import WORKER, MemoryRegistry, RecordingSink, claimed, held
from tests.waiting import wait_until

CONFIG = WorkerPoolConfig(heartbeat_seconds=5, lease_seconds=25)


class Bench:
    def __init__(self, config: WorkerPoolConfig = CONFIG) -> None:
        self.registry = MemoryRegistry()
        self.identity = WorkerIdentity(WorkerDescription(worker_id=WORKER))
        self.holdings = Holdings()
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.agenda = Agenda(60)
        self.heartbeat = Heartbeat(
            self.registry,
            self.identity,
            self.holdings,
            config,
            self.sink,
            self.agenda,
            ExecutingPage(1, WORKER),
            clock=self.clock,
        )

    def beat_for(self, seconds: int) -> None:
        for _ in range(seconds // 5):
            self.clock.advance(5)
            self.heartbeat.beat()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_before_it_is_registered_no_lease_is_current(bench: Bench) -> None:
    assert (bench.heartbeat.lease.is_current(), bench.heartbeat.lease.is_unbroken()) == (False, False)


def test_registering_makes_the_lease_current_until_it_runs_out(bench: Bench) -> None:
    bench.heartbeat.register()
    assert bench.registry.registered == [WORKER]
    bench.clock.advance(24.9)
    assert bench.heartbeat.lease.is_current() is True
    bench.clock.advance(0.2)
    assert bench.heartbeat.lease.is_current() is False


def test_a_beat_renews_the_lease_and_tells_what_is_held(bench: Bench) -> None:
    bench.heartbeat.register()
    bench.holdings.add([held(claimed(MemoryJobStore()))])
    bench.beat_for(100)
    assert bench.heartbeat.lease.is_current() is True
    assert bench.registry.beats[-1] == (WORKER, 1)


def test_a_beat_tells_the_async_ones_of_what_is_held() -> None:
    job = held(claimed(MemoryJobStore()))
    for types, count in ((frozenset(), 0), (frozenset({job.context.job.job_type}), 1), (None, 1)):
        holdings = Holdings(types)
        holdings.add([job])
        assert holdings.count_async() == count


def test_only_an_unbroken_lease_may_sweep(bench: Bench) -> None:
    bench.heartbeat.register()
    bench.beat_for(20)
    assert bench.heartbeat.lease.is_unbroken() is False
    bench.beat_for(5)
    assert bench.heartbeat.lease.is_unbroken() is True


def test_after_an_outage_it_waits_for_a_lease_before_it_sweeps(bench: Bench) -> None:
    bench.heartbeat.register()
    bench.beat_for(50)
    bench.clock.advance(30)
    assert (bench.heartbeat.lease.is_current(), bench.heartbeat.lease.is_unbroken()) == (False, False)
    bench.heartbeat.beat()
    assert (bench.heartbeat.lease.is_current(), bench.heartbeat.lease.is_unbroken()) == (True, False)
    bench.beat_for(20)
    assert bench.heartbeat.lease.is_unbroken() is False
    bench.beat_for(5)
    assert bench.heartbeat.lease.is_unbroken() is True


def test_a_beat_that_is_a_little_late_breaks_nothing(bench: Bench) -> None:
    bench.heartbeat.register()
    bench.beat_for(50)
    bench.clock.advance(9)
    bench.heartbeat.beat()
    assert bench.heartbeat.lease.is_unbroken() is True


def test_a_gap_within_the_lease_keeps_from_sweeping_for_one_lease(bench: Bench) -> None:
    """Another process of the same outage may wait for an answer still, and have no gap of its own yet."""
    bench.heartbeat.register()
    bench.beat_for(50)
    bench.clock.advance(11)
    assert bench.heartbeat.lease.is_current() is True
    assert bench.heartbeat.lease.is_unbroken() is False
    bench.heartbeat.beat()
    assert bench.heartbeat.lease.is_unbroken() is False
    bench.beat_for(25)
    assert bench.heartbeat.lease.is_unbroken() is True


def test_who_was_taken_for_dead_goes_on_as_a_new_worker(bench: Bench) -> None:
    bench.heartbeat.register()
    bench.beat_for(50)
    bench.registry.alive = False
    bench.clock.advance(5)
    bench.heartbeat.beat()
    (lost,) = bench.sink.of(LeaseLost)
    assert lost == LeaseLost(WORKER, bench.identity.worker_id)
    assert bench.identity.worker_id != WORKER
    assert bench.registry.registered == [WORKER, bench.identity.worker_id]
    assert (bench.heartbeat.lease.is_current(), bench.heartbeat.lease.is_unbroken()) == (True, False)


def test_a_failed_beat_renews_nothing(bench: Bench) -> None:
    bench.heartbeat.register()
    bench.registry.error = ConnectionError("away")
    bench.clock.advance(20)
    with pytest.raises(ConnectionError):
        bench.heartbeat.beat()
    bench.clock.advance(6)
    assert bench.heartbeat.lease.is_current() is False


FAST = WorkerPoolConfig(heartbeat_seconds=0.05, lease_seconds=0.2)


def test_the_thread_registers_beats_and_leaves(bench: Bench) -> None:
    bench = Bench(FAST)
    bench.heartbeat.start()
    wait_until(lambda: len(bench.registry.beats) >= 2)
    bench.heartbeat.stop(10)
    assert bench.registry.deregistered == [WORKER]


def test_who_still_holds_jobs_leaves_its_lease_to_run_out() -> None:
    bench = Bench(FAST)
    bench.holdings.add([held(claimed(MemoryJobStore()))])
    bench.heartbeat.start()
    wait_until(lambda: bench.registry.registered)
    bench.heartbeat.stop(10)
    assert bench.registry.deregistered == []


def test_the_thread_goes_on_trying_to_register() -> None:
    bench = Bench(FAST)
    bench.registry.error = ConnectionError("away")
    bench.heartbeat.start()
    wait_until(lambda: bench.sink.of(StoreUnavailable))
    assert bench.heartbeat.lease.is_current() is False
    bench.registry.error = None
    wait_until(lambda: bench.registry.registered)
    bench.heartbeat.stop(10)
    assert bench.registry.deregistered == [WORKER]


def test_a_beat_that_failed_is_repeated_within_half_an_interval() -> None:
    """Waiting as long as the others would, 5 s, it could lose a lease that outlived the trouble."""
    bench, tries = Bench(WorkerPoolConfig(heartbeat_seconds=0.05, lease_seconds=0.2)), 12
    attempts: list[str] = []

    def register(worker: object) -> None:
        attempts.append("registers")
        if len(attempts) < tries:
            raise ConnectionError("away")

    bench.registry.register = register
    bench.heartbeat.start()
    # Twelve waits that double from 0.1 s on would take over 40 s.
    wait_until(lambda: len(attempts) >= tries)
    bench.heartbeat.stop(10)


def test_a_process_that_is_asked_to_drain_beats_on() -> None:
    bench = Bench(FAST)
    bench.registry.standing = WorkerStanding.DRAINING
    bench.heartbeat.start()
    wait_until(bench.agenda.leaving.requested.is_set)
    wait_until(lambda: len(bench.registry.beats) >= 3)
    assert bench.heartbeat.lease.is_current()
    bench.heartbeat.stop(10)


def test_a_call_beats_without_waiting_for_the_interval(bench: Bench) -> None:
    bench.heartbeat.start()
    wait_until(lambda: bench.registry.registered)
    assert bench.registry.beats == []
    bench.heartbeat.beat_soon()
    wait_until(lambda: bench.registry.beats)
    bench.heartbeat.stop(10)


def test_the_beginning_of_a_drain_is_recorded_once_and_at_once(bench: Bench) -> None:
    bench.heartbeat.start()
    wait_until(lambda: len(bench.registry.registered) == 1)
    bench.heartbeat.note_draining()
    wait_until(lambda: len(bench.registry.draining) == 1)
    bench.heartbeat.beat_soon()
    wait_until(lambda: len(bench.registry.beats) >= 2)
    bench.heartbeat.stop(10)
    assert bench.registry.draining == bench.registry.registered
