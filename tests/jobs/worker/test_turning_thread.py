"""A thread that takes turns: when the next one is, and what a failure and an end do to it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pleme_redis_django.jobs.interface.events import StoreUnavailable
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.turning_thread import TurningThread
from tests.jobs.recording import RecordingSink
from tests.waiting import wait_until

LONG = 1_000.0


class Bench:
    def __init__(self, turn: Callable[[int], float]) -> None:
        self.sink, self.agenda, self.turns = RecordingSink(), Agenda(60), 0
        self.failures, self.ended = 0, threading.Event()
        self._turn = turn
        self.thread = TurningThread(
            "turner",
            self._take_turn,
            self.sink,
            self.agenda,
            operation="turn",
            on_failure=self._note_failure,
            at_end=self.ended.set,
        )
        self.thread.start()

    def _take_turn(self) -> float:
        self.turns += 1
        return self._turn(self.turns)

    def _note_failure(self) -> None:
        self.failures += 1


def test_a_turn_follows_when_it_is_woken_or_its_time_has_come() -> None:
    bench = Bench(lambda number: LONG if number == 2 else 0.0 if number < 4 else LONG)
    wait_until(lambda: bench.turns == 2)
    bench.thread.wake()
    wait_until(lambda: bench.turns == 4)
    assert bench.thread.stop(10)
    assert bench.ended.is_set()
    assert bench.turns == 4


def test_a_turn_that_fails_is_reported_and_followed_by_another() -> None:
    def turn(number: int) -> float:
        if number == 1:
            raise ConnectionError("away")
        return LONG

    bench = Bench(turn)
    wait_until(lambda: bench.turns == 2)
    assert bench.failures == 1
    assert [event.operation for event in bench.sink.of(StoreUnavailable)] == ["turn"]
    assert bench.thread.stop(10)


def test_an_end_by_what_nobody_expected_is_written_into_the_agenda() -> None:
    def turn(number: int) -> float:
        raise SystemExit("as asked")

    bench = Bench(turn)
    wait_until(bench.agenda.leaving.requested.is_set)
    assert [(name, str(error)) for name, error in bench.agenda.leaving.broken] == [
        ("pleme-turner", "as asked")
    ]
    assert not bench.ended.is_set()
