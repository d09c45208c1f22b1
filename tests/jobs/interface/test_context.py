"""What a handler is given: progress that is checked, and the cancel request."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pleme_redis_django import InvalidParameters, JobClaim, JobContext
from pleme_redis_django.exceptions import JobTimeout
from pleme_redis_django.testing import MemoryJob
from tests.jobs.handler_threads import HandlerThread


@pytest.fixture
def reported() -> list[JobContext]:
    return []


@pytest.fixture
def context(reported: list[JobContext]) -> JobContext:
    return JobContext(MemoryJob(product="novaskyn"), JobClaim(worker_id="w", attempt=3), reported.append)


def test_it_knows_its_attempt_and_its_product(context: JobContext) -> None:
    assert (context.attempt, context.product, context.cancel_requested) == (3, "novaskyn", False)


def test_only_the_latest_report_is_taken_and_once(context: JobContext, reported: list[JobContext]) -> None:
    context.progress(1, 10)
    context.progress(2, 10, note="second")
    assert reported == [context, context]
    assert context.take_unwritten_progress() == {"done": 2, "total": 10, "note": "second"}
    assert context.take_unwritten_progress() is None


@pytest.mark.parametrize(
    "bad",
    [-1, float("nan"), float("inf"), "3", None, True, [1], 10**400, -(10**5_000)],
    ids=lambda bad: type(bad).__name__,
)
def test_a_bad_number_is_refused(context: JobContext, bad: Any) -> None:
    with pytest.raises(InvalidParameters, match="accepted is a finite number"):
        context.progress(bad)
    if bad is not None:
        with pytest.raises(InvalidParameters, match="total"):
            context.progress(1, bad)
    assert context.take_unwritten_progress() is None


def test_a_hostile_note_is_made_storable(context: JobContext) -> None:
    context.progress(0.5, note="\x00\ud800" + "n" * 10_000)
    note = (context.take_unwritten_progress() or {})["note"]
    assert len(note.encode()) <= 500
    assert "\x00" not in note


def test_a_cancel_request_stays(context: JobContext) -> None:
    context.request_cancel()
    assert context.cancel_requested is True


def test_an_interrupt_that_is_due_in_a_report_comes_right_after_it() -> None:
    begun, let_go = threading.Event(), threading.Event()

    def slowly(_context: JobContext) -> None:
        begun.set()
        assert let_go.wait(20)

    context = JobContext(MemoryJob(), JobClaim(worker_id="w", attempt=1), slowly)
    thread = HandlerThread(lambda: context.progress(1, 2))
    assert begun.wait(20)
    assert thread.interrupt(0) is False
    let_go.set()
    assert thread.join() == [JobTimeout]
    assert context.take_unwritten_progress() == {"done": 1, "total": 2}
