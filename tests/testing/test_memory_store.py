"""MemoryJobStore and ManualClock beyond the contract: what a test does to them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from pleme_redis_django import JobNotFound, JobStatus
from pleme_redis_django.testing import ManualClock, MemoryJobStore


def test_what_the_store_returns_are_copies() -> None:
    store = MemoryJobStore()
    job = store.add(parameters={"to": ["a"]})
    job.parameters["to"].append("b")
    claimed = store.claim_next_job(str(uuid4()))
    assert claimed is not None
    claimed.status = JobStatus.FAILED
    claimed.parameters["to"].append("c")
    (kept,) = store.all()
    assert (kept.parameters, kept.status) == ({"to": ["a"]}, JobStatus.RUNNING)


def test_a_job_for_later_waits_for_the_stores_clock() -> None:
    clock = ManualClock()
    store = MemoryJobStore(clock=clock)
    job = store.add(delay_seconds=60)
    assert store.promote_due_jobs(10) == 0
    clock.advance(60)
    assert store.promote_due_jobs(10) == 1
    claimed = store.claim_next_job(str(uuid4()))
    assert claimed is not None
    assert claimed.id == job.id


def test_what_is_not_there_cannot_be_deleted_or_cancelled() -> None:
    store = MemoryJobStore()
    for change in (store.delete, store.request_cancel):
        with pytest.raises(JobNotFound):
            change(uuid4())


def test_a_cancel_request_is_seen_by_the_holder() -> None:
    store, worker = MemoryJobStore(), str(uuid4())
    job = store.add()
    store.claim_next_job(worker)
    assert [row.cancel_requested for row in store.held_jobs(worker)] == [False]
    store.request_cancel(job.id)
    assert [row.cancel_requested for row in store.held_jobs(worker)] == [True]


def test_a_clock_stands_still_and_never_goes_back() -> None:
    clock = ManualClock(100.0)
    assert (clock(), clock()) == (100.0, 100.0)
    clock.advance(0.5)
    assert clock() == 100.5
    with pytest.raises(ValueError, match="from 0 on"):
        clock.advance(-1)
