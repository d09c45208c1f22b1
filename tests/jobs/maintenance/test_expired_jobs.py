"""Expired jobs: all of them end, however many there are, and that is told once."""

from __future__ import annotations

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.events import JobsExpired
from pleme_redis_django.jobs.maintenance import expired_jobs
from pleme_redis_django.jobs.maintenance.expired_jobs import end_expired_jobs, expired_jobs_duty
from pleme_redis_django.testing import ManualClock, MemoryJobStore
from tests.jobs.recording import RecordingSink


def test_more_than_a_batch_of_them_end_in_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expired_jobs, "LIMIT", 2)
    clock, sink = ManualClock(), RecordingSink()
    store = MemoryJobStore(clock=clock)
    expiring = [store.add(expires_at=clock()) for _ in range(5)]
    lasting = store.add()
    clock.advance(1)
    assert end_expired_jobs(store, sink) == 5
    assert {store.load_job(job.id).status for job in expiring} == {JobStatus.CANCELLED}
    assert store.load_job(lasting.id).status == JobStatus.QUEUED
    assert [event.count for event in sink.of(JobsExpired)] == [5]


def test_nothing_that_expired_is_nothing_told() -> None:
    sink = RecordingSink()
    assert end_expired_jobs(MemoryJobStore(), sink) == 0
    assert sink.events == []


def test_one_process_does_it_for_all() -> None:
    duty = expired_jobs_duty(MemoryJobStore(), RecordingSink(), every_seconds=7.0)
    assert (duty.name, duty.role, duty.every_seconds, duty.run()) == ("expired_jobs", "expired_jobs", 7.0, 0)
