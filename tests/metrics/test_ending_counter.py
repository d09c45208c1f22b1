"""What a worker process counts of the jobs it ends."""

from __future__ import annotations

import json
import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from pleme_redis_django.jobs.interface.events import Event, JobEnded, JobStarted, NullSink
from pleme_redis_django.metrics import tally
from pleme_redis_django.metrics.ending_counter import EndingCounter
from pleme_redis_django.metrics.histogram import bucket_of
from pleme_redis_django.metrics.tally import Tally, with_totals
from tests.metrics.measuring import ended


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event, /) -> None:
        self.events.append(event)


def counted(*events: JobEnded) -> dict[tuple[str, str], Tally]:
    counter = EndingCounter(NullSink())
    for event in events:
        counter.emit(event)
    return counter.take()


def test_endings_are_counted_by_kind_product_and_queue() -> None:
    found = counted(
        ended(), ended(), ended("retried"), ended("failed"), ended("cancelled"), ended(queue="images")
    )
    emails = found["shop", "emails"]
    assert (emails.completed, emails.retried, emails.failed, emails.cancelled) == (2, 1, 1, 1)
    assert found["shop", "images"].completed == 1


def test_durations_fall_into_buckets() -> None:
    tallied = counted(ended(waited=5, ran=0.2), ended(waited=5, ran=3))["shop", "emails"]
    assert tallied.waits == Counter({bucket_of(5): 2})
    assert tallied.runs == Counter({bucket_of(0.2): 1, bucket_of(3): 1})


def test_what_is_not_known_is_left_out() -> None:
    tallied = counted(ended(waited=None, ran=0.0))["shop", "emails"]
    assert (tallied.completed, tallied.waits, tallied.runs) == (1, Counter(), Counter())


def test_a_job_that_was_given_back_has_not_ended() -> None:
    assert counted(ended("given back")) == {}


def test_a_job_of_another_model_is_counted_without_product_and_queue() -> None:
    job: Any = SimpleNamespace()
    assert counted(JobEnded(job, ended().ending)).keys() == {("", "")}


def test_every_event_is_passed_on_and_counts_are_taken_once() -> None:
    sink = Recorder()
    counter = EndingCounter(sink)
    job: Any = SimpleNamespace()
    events: list[Any] = [JobStarted(job), ended(), ended("given back")]
    for event in events:
        counter.emit(event)
    assert sink.events == events
    assert counter.take()
    assert counter.take() == {}


def test_no_ending_is_lost_between_threads() -> None:
    counter = EndingCounter(NullSink())
    taken: list[int] = []

    def emit() -> None:
        for _ in range(2_000):
            counter.emit(ended())

    threads = [threading.Thread(target=emit) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += [one.completed for one in counter.take().values()]
    assert sum(taken) + sum(one.completed for one in counter.take().values()) == 8_000


def test_tallies_survive_json() -> None:
    found = counted(ended(), ended("failed", queue="images"))
    assert tally.from_json(json.loads(json.dumps(tally.to_json(found)))) == found


def test_totals_are_of_each_product_and_of_everything() -> None:
    found = with_totals(counted(ended(), ended(queue="images"), ended(product="blog")))
    assert {key: one.completed for key, one in found.items()} == {
        ("shop", "emails"): 1,
        ("shop", "images"): 1,
        ("blog", "emails"): 1,
        ("shop", ""): 2,
        ("blog", ""): 1,
        ("", ""): 3,
    }
    assert sum(found["", ""].waits.values()) == 3
    assert with_totals({})["", ""] == Tally()


@pytest.mark.parametrize("queue", ["", "emails"])
def test_jobs_without_a_product_count_once_in_everything(queue: str) -> None:
    found = with_totals(counted(ended(product="", queue=queue), ended()))
    assert found["", ""].completed == 2
    assert found["shop", ""].completed == 1
