from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pleme_redis_django import signals
from pleme_redis_django.realtime.job_events import JobEvents
from pleme_redis_django.testing.realtime import assert_published


@pytest.fixture(autouse=True)
def _job_events(configure: Callable[..., None]) -> Iterator[None]:
    configure(JOB_EVENTS=["shop.jobs.watched"])
    events = JobEvents()
    events.connect()
    yield
    events.disconnect()


def job(job_type: str = "shop.jobs.watched") -> Any:
    return SimpleNamespace(id=uuid.uuid4(), job_type=job_type, product="acme")


def test_progress_and_ending_are_published() -> None:
    watched = job()
    with assert_published(f"job:{watched.id}", times=2, product="acme") as published:
        progress = {"done": 1, "total": 2, "note": "half"}
        signals.job_progressed.send_robust(object, job=watched, progress=progress)
        signals.job_completed.send_robust(object, job=watched, results={"secret": 1})
    assert [message.data for message in published] == [
        {"event": "progressed", "type": "shop.jobs.watched", "progress": progress},
        {"event": "completed", "type": "shop.jobs.watched"},
    ]


def test_other_job_types_are_not() -> None:
    with assert_published("job:*", times=0, product="acme"):
        signals.job_failed.send_robust(object, job=job("shop.jobs.other"), failure=None)


def test_unavailable_redis_costs_one_wait(configure: Callable[..., None], caplog: Any) -> None:
    configure(URL="redis://127.0.0.1:1/0")
    for _ in range(3):
        signals.job_completed.send_robust(object, job=job(), results=None)
    assert caplog.text.count("was not published") == 1
