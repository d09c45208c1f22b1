"""HintListener: when the thread that waits for hints listens, and when it leaves them to other processes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Collection, Iterator

import pytest

from pleme_redis_django.jobs.interface.events import HintsBack, HintsUnavailable
from pleme_redis_django.jobs.interface.hints import Hinted
from pleme_redis_django.jobs.worker import hint_listener
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.hint_listener import HintListener
from tests.jobs.recording import RecordingSink
from tests.waiting import wait_until


class Hints:
    """A queue of hints in memory; ``listening`` is set while somebody waits there."""

    def __init__(self) -> None:
        self.hints: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.listening = threading.Event()
        self.nudged = threading.Event()

    def arrive(self, *hinted: bool) -> None:
        """End so many waits; False: without a hint."""
        for one in hinted:
            self.hints.put(one)

    def wait_for_hint(self, timeout_seconds: float) -> bool:
        self.listening.set()
        hinted = self.hints.get()
        self.listening.clear()
        return hinted

    def nudge(self) -> bool:
        self.nudged.set()
        return True


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
def agenda() -> Agenda:
    return Agenda(60)


@pytest.fixture
def listener(hints: Hints, agenda: Agenda) -> Iterator[HintListener]:
    listener = HintListener(hints, RecordingSink(), agenda, timeout_seconds=30)
    listener.start()
    yield listener
    listener.stop()
    hints.arrive(False)


def is_hinted(agenda: Agenda) -> bool:
    return agenda.next_look().hinted


def test_a_process_without_room_does_not_listen(hints: Hints, agenda: Agenda, listener: HintListener) -> None:
    assert not hints.listening.is_set()
    agenda.capacity.set()
    wait_until(hints.listening.is_set, "the listener listens")


def test_after_a_hint_nothing_is_taken_until_there_is_room_again(
    hints: Hints, agenda: Agenda, listener: HintListener
) -> None:
    agenda.capacity.set()
    hints.arrive(True, True)
    wait_until(lambda: is_hinted(agenda), "the hint is told")
    assert hints.hints.qsize() == 1
    assert not hints.listening.is_set()
    agenda.capacity.set()
    wait_until(lambda: is_hinted(agenda), "the next hint is told")


def test_a_wait_without_a_hint_is_followed_by_another(
    hints: Hints, agenda: Agenda, listener: HintListener
) -> None:
    agenda.capacity.set()
    hints.arrive(False, True)
    wait_until(lambda: is_hinted(agenda), "the hint is told")


def test_the_end_of_an_outage_is_told_once(agenda: Agenda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hint_listener, "PAUSE_AFTER_FAILURE_SECONDS", 0.01)

    class AwayTwice(Hints):
        failures = 2

        def wait_for_hint(self, timeout_seconds: float) -> bool:
            if self.failures:
                self.failures -= 1
                raise ConnectionError("away")
            return super().wait_for_hint(timeout_seconds)

    hints, sink = AwayTwice(), RecordingSink()
    listener = HintListener(hints, sink, agenda, timeout_seconds=30)
    listener.start()
    agenda.capacity.set()
    hints.arrive(False, False)
    wait_until(lambda: hints.hints.empty() and hints.listening.is_set(), "the listener listens again")
    listener.stop()
    hints.arrive(False)
    assert [type(event) for event in sink.events] == [HintsUnavailable, HintsBack]


def test_a_hint_that_comes_to_a_process_that_drains_is_passed_on(
    hints: Hints, agenda: Agenda, listener: HintListener
) -> None:
    """A pop cannot be taken back, and whoever would have heard of the job would look for it only much later."""
    agenda.capacity.set()
    wait_until(hints.listening.is_set, "the listener listens")
    listener.stop()
    assert not hints.nudged.is_set()
    hints.arrive(True)
    wait_until(hints.nudged.is_set, "another process is woken")
    assert not is_hinted(agenda)


class NamingHints(Hints):
    """Hints that name jobs; those that wait are read without taking them."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: frozenset[Hinted] = frozenset()
        self.waiting: frozenset[Hinted] = frozenset()
        self.peeks = 0
        self.is_away = False

    def take_named(self) -> frozenset[Hinted]:
        return self.taken

    def peek_named(self) -> frozenset[Hinted]:
        self.peeks += 1
        if self.is_away:
            self.is_away = False
            raise OSError("gone")
        return self.waiting

    def nudge_for(self, job_types: Collection[str], products: Collection[str]) -> bool:
        return self.nudge()


@pytest.fixture
def named() -> NamingHints:
    return NamingHints()


@pytest.fixture
def fair_listener(named: NamingHints, agenda: Agenda) -> Iterator[HintListener]:
    listener = HintListener(named, RecordingSink(), agenda, timeout_seconds=30, fair=True)
    yield listener
    listener.stop()
    named.arrive(False)


def test_a_hint_tells_its_jobs(named: NamingHints, agenda: Agenda, fair_listener: HintListener) -> None:
    named.taken = frozenset({Hinted("a", "t"), Hinted("b", "t")})
    agenda.capacity.set()
    fair_listener.start()
    named.arrive(True)
    wait_until(lambda: agenda.next_look().named == {Hinted("a", "t"), Hinted("b", "t")}, "the jobs are told")


def test_a_hint_tells_its_jobs_to_a_pool_that_is_not_fair(named: NamingHints, agenda: Agenda) -> None:
    """Its slots of other types would read past the whole backlog for nothing."""
    named.taken = frozenset({Hinted("a", "t")})
    agenda.capacity.set()
    listener = HintListener(named, RecordingSink(), agenda, timeout_seconds=30)
    listener.start()
    named.arrive(True)
    wait_until(lambda: agenda.next_look().named == {Hinted("a", "t")}, "the job is told")
    assert named.peeks == 0
    listener.stop()
    named.arrive(False)


def test_a_full_process_that_claims_hears_of_products_and_takes_no_hint(
    named: NamingHints, agenda: Agenda, fair_listener: HintListener
) -> None:
    agenda.claimed_at = time.monotonic() + 3_600
    named.waiting = frozenset({Hinted("new")})
    fair_listener.start()
    wait_until(lambda: agenda.next_look().named == {Hinted("new")}, "the product is told")
    assert not named.listening.is_set()
    assert not agenda.next_look().hinted


def test_a_process_that_claims_nothing_does_not_ask(
    named: NamingHints, agenda: Agenda, fair_listener: HintListener
) -> None:
    agenda.claimed_at = time.monotonic() - 3_600
    fair_listener.start()
    agenda.capacity.set()
    wait_until(named.listening.is_set, "it listens")
    assert named.peeks == 0


def test_without_its_hints_a_full_process_goes_on_asking(
    named: NamingHints,
    agenda: Agenda,
    fair_listener: HintListener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hint_listener, "PAUSE_AFTER_FAILURE_SECONDS", 0.01)
    agenda.claimed_at = time.monotonic() + 3_600
    named.is_away = True
    named.waiting = frozenset({Hinted("new")})
    fair_listener.start()
    wait_until(lambda: agenda.next_look().named == {Hinted("new")}, "the product is told")


def test_a_pool_that_is_not_fair_does_not_ask(named: NamingHints, agenda: Agenda) -> None:
    agenda.claimed_at = time.monotonic() + 3_600
    listener = HintListener(named, RecordingSink(), agenda, timeout_seconds=30)
    named.taken = frozenset({Hinted("a")})
    listener.start()
    agenda.capacity.set()
    named.arrive(True)
    wait_until(lambda: is_hinted(agenda), "the hint is told")
    listener.stop()
    named.arrive(False)
    assert named.peeks == 0
