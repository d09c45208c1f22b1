"""The recorder of a worker process: it stores what was counted, and tells of the store what it knows."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from pleme_redis_django.jobs.interface.events import Event
from pleme_redis_django.metrics.recorder import StatisticsRecorder
from pleme_redis_django.testing.clock import ManualClock
from tests.metrics.measuring import a_sampler, a_tally_writer
from tests.rows import BACKENDS

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]


class Events:
    def __init__(self) -> None:
        self.kinds: list[str] = []

    def emit(self, event: Event, /) -> None:
        self.kinds.append(type(event).__name__)


def test_a_store_is_back_when_it_answers_and_not_when_it_was_asked_nothing(using: str) -> None:
    events, clock, sampler = Events(), ManualClock(), a_sampler(using)
    recorder = StatisticsRecorder(a_tally_writer(using), sampler, events, clock=clock)

    def a_minute_passes() -> None:
        for _second in range(60):
            clock.advance(1)
            try:
                recorder.turn()
            except OperationalError as error:
                recorder.outage.report(error)

    def is_away() -> Any:
        raise OperationalError("the server is away")

    answering, sampler.turn = sampler.turn, is_away
    a_minute_passes()
    assert events.kinds == ["StoreUnavailable"]
    sampler.turn = answering
    a_minute_passes()
    assert events.kinds == ["StoreUnavailable", "StoreBack"]
