"""Endings as messages: each kind comes back equal through JSON, for the attempt that the worker runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    Failure,
    GivenBack,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.worker.channel import BadMessage
from pleme_redis_django.jobs.worker.ending_messages import ending_of, message_of
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import claimed, context_of

FAILURE = Failure(
    message="no \N{SNOWMAN}",
    error_code="away",
    exception_class="shop.Away",
    traceback="in charge",
    fingerprint="f",
    exception=KeyError("of the other process"),
)


@pytest.fixture
def context() -> JobContext:
    return context_of(claimed(MemoryJobStore()))


def fields(context: JobContext) -> dict[str, Any]:
    return {"job_id": context.job.id, "claim": context.claim, "run_seconds": 1.5, "progress": {"done": 5.0}}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (Completed, {"results_json": '{"a":1}'}),
        (Failed, {"failure": FAILURE, "crashed": True}),
        (Retried, {"failure": FAILURE, "retry_count": 2, "delay_seconds": 0.5}),
        (Snoozed, {"retry_count": 2, "delay_seconds": 60.0}),
        (Cancelled, {"failure": FAILURE}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_ending_comes_back_equal(context: JobContext, kind: type[Ending], more: dict[str, Any]) -> None:
    ending = kind(**fields(context), **more)
    told = json.loads(json.dumps(message_of(ending)))
    back = ending_of(told, context)
    assert back == ending
    assert type(back) is kind
    failure = getattr(back, "failure", None)
    assert failure is None or failure.exception is None


def test_another_attempt_cannot_be_ended_by_a_message(context: JobContext) -> None:
    told = message_of(Completed(**fields(context)))
    told["fields"] |= {"claim": "another"}
    with pytest.raises(BadMessage, match="it tells no ending"):
        ending_of(told, context)


@pytest.mark.parametrize(
    "message",
    [
        None,
        {},
        {"kind": "Completed"},
        {"kind": "GivenBack", "fields": {}},
        {"kind": "Failed", "fields": {}},
        {"kind": "Failed", "fields": {"failure": {"message": "half"}}},
        {"kind": "Completed", "fields": {"surprise": 1}},
        {"kind": ["Completed"], "fields": {}},
        {"kind": "Completed", "fields": "text"},
    ],
    ids=repr,
)
def test_whatever_else_comes_is_a_bad_message(context: JobContext, message: Any) -> None:
    with pytest.raises(BadMessage):
        ending_of(message, context)


def test_a_process_cannot_give_its_job_back_by_itself(context: JobContext) -> None:
    with pytest.raises(BadMessage):
        ending_of(message_of(GivenBack(job_id=context.job.id, claim=context.claim)), context)
