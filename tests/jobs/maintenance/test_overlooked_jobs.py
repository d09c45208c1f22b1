"""Overlooked jobs: they are let in, this process and others wake, and the find is told as a fault."""

from __future__ import annotations

import logging

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.event_log import EngineEvents
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.events import OverlookedJobsReleased
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.maintenance.overlooked_jobs import overlooked_jobs_duty, release_overlooked_jobs
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import MemoryHints, RecordingSink


def test_who_is_overlooked_is_let_in_and_told() -> None:
    store, sink, agenda, hints = MemoryJobStore(), RecordingSink(), Agenda(60), MemoryHints()
    store.limit("key", "stripe", 1)
    first, second = store.add(concurrency_key="stripe"), store.add(concurrency_key="stripe")
    (running,) = store.claim_jobs("worker", 1, JobSelection())
    store.claim_jobs("worker", 1, JobSelection())
    assert running.id == first.id and running.claim is not None
    duty = overlooked_jobs_duty(store, hints, sink, ReleasedJobs(agenda), every_seconds=7.0)
    assert (duty.name, duty.role, duty.run()) == ("overlooked_jobs", "overlooked_jobs", 0)
    assert (sink.events, hints.nudges) == ([], 0), "nobody was overlooked while the limit is full"
    store.finish_jobs([Completed(job_id=running.id, claim=running.claim)])  # Nobody looks who waits.
    assert store.load_job(second.id).status == JobStatus.BLOCKED
    assert release_overlooked_jobs(store, hints, sink, ReleasedJobs(agenda)) == 1
    assert store.load_job(second.id).status == JobStatus.QUEUED
    assert sink.events == [OverlookedJobsReleased(1)]
    assert agenda.has_unseen_hint()
    assert hints.nudges == 1


def test_a_find_is_a_warning_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        EngineEvents().emit(OverlookedJobsReleased(3))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "nothing held them" in record.getMessage() and "3" in record.getMessage()
