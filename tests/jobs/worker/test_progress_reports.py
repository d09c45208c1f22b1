"""ProgressReports: the latest report of each job is written, and none is lost while the store is away."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest

from pleme_redis_django import JobClaim
from pleme_redis_django.exceptions import LockedJobs
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.events import JobProgressed, StoreBack, StoreUnavailable
from pleme_redis_django.jobs.worker import progress_reports
from pleme_redis_django.jobs.worker.progress_reports import ProgressReports
from pleme_redis_django.jobs.worker.store_outage import StoreOutage
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import RecordingSink, claimed, context_of


class Reports:
    """What a test reads and breaks."""

    def __init__(self) -> None:
        self.store = CountingStore()
        self.sink = RecordingSink()
        self.pending = ProgressReports(
            self.store, self.sink, StoreOutage("progress", self.sink, threading.Event())
        )

    def context(self) -> JobContext:
        return context_of(claimed(self.store), self.pending.note)

    def told(self) -> list[tuple[UUID, Any]]:
        return [(event.job.id, event.progress["done"]) for event in self.sink.of(JobProgressed)]


class CountingStore(MemoryJobStore):
    """Counts its writes, can be away, and has rows that somebody else holds."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[int] = []
        self.error: Exception | None = None

    def record_progress(self, reports: Sequence[tuple[UUID, JobClaim, Mapping[str, Any]]]) -> None:
        self.writes.append(len(reports))
        if self.error is not None:
            raise self.error
        super().record_progress(reports)


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Reports:
    """Every look at them writes them."""
    monkeypatch.setattr(progress_reports, "INTERVAL_SECONDS", 0.0)
    return Reports()


def test_all_jobs_ride_in_one_write_each_with_its_latest(reports: Reports) -> None:
    one, other = reports.context(), reports.context()
    for done in (1, 2, 3):
        one.progress(done)
    other.progress(7)
    assert bool(reports.pending)
    reports.pending.write_when_due()
    assert reports.store.writes == [2]
    assert sorted(reports.told()) == sorted([(one.job.id, 3), (other.job.id, 7)])
    assert not reports.pending
    reports.pending.write_when_due()
    assert reports.store.writes == [2]


def test_it_is_not_written_again_within_the_second(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_reports, "INTERVAL_SECONDS", 3600.0)
    context = reports.context()
    for done in (1, 2):
        context.progress(done)
        reports.pending.write_when_due()
    assert (reports.store.writes, bool(reports.pending)) == ([1], True)


def test_what_could_not_be_written_goes_with_the_next_report_and_never_over_it(reports: Reports) -> None:
    context = reports.context()
    reports.store.error = ConnectionError("away")
    context.progress(1)
    reports.pending.write_when_due()
    assert reports.told() == []
    assert [event.operation for event in reports.sink.of(StoreUnavailable)] == ["progress"]
    assert context.take_unwritten_progress() == {"done": 1}
    reports.store.error = None
    context.progress(2)
    reports.pending.write_when_due()
    assert reports.told() == [(context.job.id, 2)]
    assert len(reports.sink.of(StoreBack)) == 1


def test_a_row_that_somebody_holds_is_tried_again_and_the_others_are_told(reports: Reports) -> None:
    locked, free = reports.context(), reports.context()
    reports.store.error = LockedJobs({locked.job.id})
    for context in (locked, free):
        context.progress(5)
    reports.pending.write_when_due()
    assert reports.told() == [(free.job.id, 5)]
    assert bool(reports.pending)
    reports.store.error = None
    reports.pending.write_when_due()
    assert reports.told() == [(free.job.id, 5), (locked.job.id, 5)]


def test_what_an_ending_took_along_is_not_written(reports: Reports) -> None:
    context = reports.context()
    context.progress(5)
    assert context.take_unwritten_progress() == {"done": 5}
    reports.pending.write_when_due()
    assert reports.store.writes == []
