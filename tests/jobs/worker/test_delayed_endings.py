"""Endings that wait apart: for how long, and what is told of them."""

from __future__ import annotations

from pleme_redis_django.jobs.interface.events import BurstHeldUp, EndingDelayed
from pleme_redis_django.jobs.worker.delayed_endings import LONGEST_DELAY_SECONDS, DelayedEndings
from pleme_redis_django.jobs.worker.holdings import Entry, ending_if_unfinished
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import RecordingSink, claimed, held

ALWAYS = float("inf")


def entry() -> Entry:
    one = held(claimed(MemoryJobStore()))
    return one, ending_if_unfinished(one)


def test_an_ending_waits_twice_as_long_each_time_and_never_longer_than_the_limit() -> None:
    delayed, one = DelayedEndings(RecordingSink()), entry()
    for _ in range(20):
        delayed.add(one, ConnectionError("locked"))
    (kept,) = delayed._delayed.values()
    assert kept.wait_seconds == LONGEST_DELAY_SECONDS
    assert delayed.due(kept.next_try - 1) == []
    assert delayed.due(kept.next_try) == [one]


def test_a_delay_is_told_once_for_each_job() -> None:
    sink = RecordingSink()
    delayed, one, other = DelayedEndings(sink), entry(), entry()
    for each in (one, one, other):
        delayed.add(each, ConnectionError("locked"))
    assert len(sink.of(EndingDelayed)) == 2
    delayed.forget([one])
    assert (len(delayed), delayed.due(ALWAYS)) == (1, [other])
    assert isinstance(delayed.last_error(), ConnectionError)
    delayed.forget([other])
    assert delayed.last_error() is None


def test_a_burst_that_waits_for_nothing_else_is_told_of_once() -> None:
    sink = RecordingSink()
    delayed = DelayedEndings(sink, burst=True)
    delayed.add(entry(), ConnectionError("locked"))
    delayed.tell_when_all_wait(held=2)
    assert not sink.of(BurstHeldUp)
    for _ in range(3):
        delayed.tell_when_all_wait(held=1)
    assert [event.count for event in sink.of(BurstHeldUp)] == [1]


def test_nothing_is_told_where_nobody_waits_for_the_end() -> None:
    sink = RecordingSink()
    delayed = DelayedEndings(sink)
    delayed.add(entry(), ConnectionError("locked"))
    delayed.tell_when_all_wait(held=1)
    assert not sink.of(BurstHeldUp)
