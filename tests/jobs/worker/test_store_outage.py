"""StoreOutage: how long is waited after failures in a row, and how often they are told."""

from __future__ import annotations

import threading

import pytest

from pleme_redis_django.jobs.interface.events import StoreBack, StoreUnavailable
from pleme_redis_django.jobs.worker.store_outage import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, StoreOutage
from tests.jobs.recording import RecordingSink


class Stop(threading.Event):
    """Notes each wait, and waits for none."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return self.is_set()


@pytest.fixture
def sink() -> RecordingSink:
    return RecordingSink()


@pytest.fixture
def stop() -> Stop:
    return Stop()


def test_each_failure_in_a_row_is_waited_after_twice_as_long_up_to_a_limit(
    sink: RecordingSink, stop: Stop
) -> None:
    outage = StoreOutage("claim", sink, stop)
    for _ in range(8):
        assert outage.wait_after(OSError("away"))
    assert stop.waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS]
    outage.succeeded()
    outage.wait_after(OSError("away"))
    assert stop.waits[-1] == FIRST_WAIT_SECONDS


def test_no_wait_is_longer_than_a_limit_of_its_own(sink: RecordingSink, stop: Stop) -> None:
    outage = StoreOutage("claim", sink, stop, longest_wait_seconds=0.05)
    outage.wait_after(OSError("away"))
    outage.succeeded()
    outage.wait_after(OSError("away"))
    assert stop.waits == [0.05, 0.05]


def test_a_process_that_stops_is_told_so(sink: RecordingSink, stop: Stop) -> None:
    stop.set()
    assert not StoreOutage("claim", sink, stop).wait_after(OSError("away"))


def test_an_outage_and_its_end_are_told_once(sink: RecordingSink, stop: Stop) -> None:
    outage = StoreOutage("claim", sink, stop)
    error = OSError("away")
    for _ in range(3):
        outage.report(error)
    assert outage.is_away and outage.error is error
    for _ in range(3):
        outage.succeeded()
    assert not outage.is_away and outage.error is None
    assert sink.events == [StoreUnavailable("claim", error), StoreBack("claim")]


def test_a_failure_of_another_kind_is_news(sink: RecordingSink, stop: Stop) -> None:
    outage = StoreOutage("claim", sink, stop)
    outage.report(OSError("away"))
    outage.report(ValueError("odd"))
    assert [type(event.error) for event in sink.of(StoreUnavailable)] == [OSError, ValueError]


def test_a_store_that_was_never_away_is_not_back(sink: RecordingSink, stop: Stop) -> None:
    StoreOutage("claim", sink, stop).succeeded()
    assert sink.events == []
