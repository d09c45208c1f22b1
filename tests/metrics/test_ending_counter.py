"""What a worker process counts of the jobs it ends."""

from __future__ import annotations

import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

from pleme_redis_django.jobs.interface.events import Event, JobEnded, JobStarted, NullSink
from pleme_redis_django.metrics.ending_counter import COUNTED_TOGETHER, EndingCounter
from pleme_redis_django.metrics.histogram import bucket_of
from tests.metrics.measuring import counted, ended


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event, /) -> None:
        self.events.append(event)


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


def test_endings_are_counted_together_and_none_is_kept_for_long() -> None:
    counter = EndingCounter(NullSink())
    for _ending in range(COUNTED_TOGETHER + 1):
        counter.emit(ended())
    assert len(counter._uncounted) == 1, "memory is bounded, however seldom somebody takes the counts"
    assert counter.take()["shop", "emails"].completed == COUNTED_TOGETHER + 1
    assert counter.take() == {}
