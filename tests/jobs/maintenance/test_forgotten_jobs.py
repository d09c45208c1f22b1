"""Forgotten jobs: one hint wakes a worker for all of them, and only a hint that was given is told."""

from __future__ import annotations

import pytest

from pleme_redis_django.jobs.interface.events import OrphanedJobsHinted
from pleme_redis_django.jobs.interface.hints import NoHints
from pleme_redis_django.jobs.interface.store import ORPHANED_AFTER_SECONDS
from pleme_redis_django.jobs.maintenance.forgotten_jobs import hint_forgotten_jobs
from pleme_redis_django.testing import ManualClock, MemoryJobStore
from tests.jobs.recording import MemoryHints, RecordingSink


@pytest.fixture
def store() -> MemoryJobStore:
    """Two jobs that were forgotten, and one whose hint is still on its way."""
    clock = ManualClock()
    store = MemoryJobStore(clock=clock)
    store.add()
    store.add()
    clock.advance(ORPHANED_AFTER_SECONDS + 1)
    store.add()
    return store


def test_one_worker_is_woken_for_all_that_was_forgotten(store: MemoryJobStore) -> None:
    hints, sink = MemoryHints(), RecordingSink()
    assert hint_forgotten_jobs(store, hints, sink) == 2
    assert (hints.nudges, sink.events) == (1, [OrphanedJobsHinted(2)])


def test_where_nothing_was_forgotten_nobody_is_woken() -> None:
    hints, sink = MemoryHints(), RecordingSink()
    assert hint_forgotten_jobs(MemoryJobStore(), hints, sink) == 0
    assert (hints.nudges, sink.events) == (0, [])


def test_a_hint_that_was_not_given_is_not_told(store: MemoryJobStore) -> None:
    sink = RecordingSink()
    assert hint_forgotten_jobs(store, NoHints(), sink) == 2
    assert sink.events == []
