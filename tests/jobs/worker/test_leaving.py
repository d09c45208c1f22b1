"""Leaving: what asks a process to end, and what it says of why."""

from __future__ import annotations

from pleme_redis_django.jobs.worker.leaving import Leaving


def test_a_broken_thread_and_a_drain_both_ask_for_the_end() -> None:
    drained, broken = Leaving(), Leaving()
    drained.drain()
    error = ZeroDivisionError()
    broken.thread_broken("pleme-claimer", error)
    assert drained.requested.is_set() and broken.requested.is_set()
    assert (drained.broken, broken.broken) == ([], [("pleme-claimer", error)])


def test_the_first_reason_for_a_recycling_stays() -> None:
    leaving = Leaving()
    leaving.recycle("it has run 100 jobs", lets_waiting_run=True)
    assert leaving.lets_waiting_run
    leaving.recycle("a handler did not heed its timeout")
    assert leaving.recycle_reason == "it has run 100 jobs"
    assert not leaving.lets_waiting_run, "what hangs is not waited for any longer than a drain waits"


def test_what_was_asked_to_drain_gives_back_what_waits_though_a_limit_is_reached_too() -> None:
    leaving = Leaving()
    leaving.drain()
    leaving.recycle("it has run 100 jobs", lets_waiting_run=True)
    assert not leaving.lets_waiting_run
