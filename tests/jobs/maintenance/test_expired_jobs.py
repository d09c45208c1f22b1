"""Expired jobs: all of them end, however many there are, and that is told once."""

from __future__ import annotations

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.events import JobsExpired
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.maintenance import expired_jobs
from pleme_redis_django.jobs.maintenance.expired_jobs import end_expired_jobs, expired_jobs_duty
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs
from pleme_redis_django.testing import ManualClock, MemoryJobStore
from tests.jobs.recording import RecordingSink


def test_more_than_a_batch_of_them_end_in_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expired_jobs, "LIMIT", 2)
    clock, sink = ManualClock(), RecordingSink()
    store = MemoryJobStore(clock=clock)
    expiring = [store.add(expires_at=clock()) for _ in range(5)]
    lasting = store.add()
    clock.advance(1)
    assert end_expired_jobs(store, sink, ReleasedJobs(Agenda(60))) == 5
    assert {store.load_job(job.id).status for job in expiring} == {JobStatus.CANCELLED}
    assert store.load_job(lasting.id).status == JobStatus.QUEUED
    assert [event.count for event in sink.of(JobsExpired)] == [5]


def test_who_was_let_in_and_expired_leaves_its_place_to_the_next() -> None:
    clock, agenda = ManualClock(), Agenda(60)
    store = MemoryJobStore(clock=clock)
    store.limit("key", "stripe", 1)
    expiring = store.add(concurrency_key="stripe", expires_at=clock() + 1)
    following = store.add(concurrency_key="stripe")
    store.add(concurrency_key="stripe", priority=1)
    (running,) = store.claim_jobs("worker", 3, JobSelection())
    assert running.claim is not None
    store.finish_jobs([Completed(job_id=running.id, claim=running.claim, results_json="1")])
    store.release_after([running])
    clock.advance(1)
    assert end_expired_jobs(store, RecordingSink(), ReleasedJobs(agenda)) == 1
    assert store.load_job(expiring.id).status == JobStatus.CANCELLED
    assert store.load_job(following.id).status == JobStatus.QUEUED
    assert agenda.has_unseen_hint()


def test_nothing_that_expired_is_nothing_told() -> None:
    sink = RecordingSink()
    assert end_expired_jobs(MemoryJobStore(), sink, ReleasedJobs(Agenda(60))) == 0
    assert sink.events == []


def test_one_process_does_it_for_all() -> None:
    duty = expired_jobs_duty(MemoryJobStore(), RecordingSink(), ReleasedJobs(Agenda(60)), every_seconds=7.0)
    assert (duty.name, duty.role, duty.every_seconds, duty.run()) == ("expired_jobs", "expired_jobs", 7.0, 0)
