"""The finisher: batches, a bad ending that spoils no other, outages, and progress."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest

from pleme_redis_django import JobClaim, JobStatus
from pleme_redis_django.exceptions import BadEnding, DoubtfulEndings, LockedJobs
from pleme_redis_django.jobs.interface.endings import Completed, Ending, Failed, Retried
from pleme_redis_django.jobs.interface.events import (
    EndingDelayed,
    EndingRefused,
    EndingsUnwritten,
    JobEnded,
    JobProgressed,
    StoreBack,
    StoreUnavailable,
)
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.finisher import UNWRITABLE, Finisher
from pleme_redis_django.jobs.worker.holdings import HeldJob, Holdings, ending_if_unfinished
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import RecordingSink, claimed, held
from tests.waiting import wait_until

REFUSED_RESULT = '"refused"'


class FussyStore(MemoryJobStore):
    """Refuses a batch with a refused result as PostgreSQL does, and can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.away = threading.Event()
        self.refuses: Callable[[Ending], bool] = _is_refused
        self.locked: set[UUID] = set()
        self.doubtful: set[UUID] = set()

    def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]:
        if self.away.is_set():
            raise ConnectionError("away")
        if locked := self.locked & {ending.job_id for ending in endings}:
            raise LockedJobs(locked)
        if self.doubtful & {ending.job_id for ending in endings}:
            raise DoubtfulEndings("internal error")
        self.batches.append(len(endings))
        if any(self.refuses(ending) for ending in endings):
            raise BadEnding("invalid input syntax")
        return super().finish_jobs(endings)

    def record_progress(self, reports: Sequence[tuple[UUID, JobClaim, Mapping[str, Any]]]) -> None:
        if self.away.is_set():
            raise ConnectionError("away")
        super().record_progress([report for report in reports if report[0] not in self.locked])
        if locked := self.locked & {report[0] for report in reports}:
            raise LockedJobs(locked)


def _is_refused(ending: Ending) -> bool:
    return isinstance(ending, Completed) and ending.results_json == REFUSED_RESULT


def completed(one: HeldJob, results_json: str = "null") -> Completed:
    return Completed(job_id=one.job.id, claim=one.claim, results_json=results_json)


def retried(one: HeldJob, delay_seconds: float = 63.0) -> Retried:
    return Retried(
        job_id=one.job.id,
        claim=one.claim,
        failure=engine_failure("x", "x", "test"),
        retry_count=1,
        delay_seconds=delay_seconds,
    )


class Bench:
    """A finisher on a store, with everything that it talks to."""

    def __init__(self) -> None:
        self.store = FussyStore()
        self.holdings = Holdings()
        self.sink = RecordingSink()
        self.agenda = Agenda(1_000)
        self.idle = self.agenda.woken
        self.finisher = Finisher(self.store, self.holdings, self.sink, self.agenda)

    def hold(self, count: int) -> list[HeldJob]:
        jobs = [held(claimed(self.store), started=True) for _ in range(count)]
        self.holdings.add(jobs)
        return jobs

    def statuses(self) -> list[JobStatus]:
        return [job.status for job in self.store.all()]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.finisher.stop(5)


def test_what_is_there_at_once_is_written_at_once(bench: Bench) -> None:
    jobs = bench.hold(100)
    for one in jobs:
        bench.finisher.add(one, completed(one))
    bench.finisher.start()
    assert bench.idle.wait(10)
    assert bench.store.batches == [100]
    assert set(bench.statuses()) == {JobStatus.COMPLETED}
    assert len(bench.sink.of(JobEnded)) == 100


def test_a_job_is_let_go_once_its_ending_is_answered(bench: Bench) -> None:
    one, other = bench.hold(2)
    bench.finisher.start()
    bench.finisher.add(one, completed(one))
    wait_until(lambda: len(bench.holdings) == 1)
    assert not bench.idle.is_set()
    bench.finisher.add(other, completed(other))
    assert bench.idle.wait(10)


@pytest.mark.parametrize("position", [0, 17, 63])
def test_one_bad_ending_spoils_no_other(bench: Bench, position: int) -> None:
    jobs = bench.hold(64)
    for index, one in enumerate(jobs):
        bench.finisher.add(one, completed(one, REFUSED_RESULT if index == position else "1"))
    bench.finisher.start()
    assert bench.idle.wait(10)
    expected = [JobStatus.COMPLETED] * 64
    expected[position] = JobStatus.FAILED
    assert bench.statuses() == expected
    bad = bench.store.all()[position]
    assert bad.error_details == {"error_code": UNWRITABLE, "exception_class": ""}
    assert "Completed" in bad.error_message
    assert len(bench.store.batches) <= 2 * 7 + 1, "Halving finds one of 64 in seven steps."


def test_many_bad_endings_spoil_no_other(bench: Bench) -> None:
    jobs = bench.hold(32)
    for index, one in enumerate(jobs):
        bench.finisher.add(one, completed(one, REFUSED_RESULT if index % 3 == 0 else "1"))
    bench.finisher.start()
    assert bench.idle.wait(10)
    assert bench.statuses().count(JobStatus.FAILED) == 11
    assert bench.statuses().count(JobStatus.COMPLETED) == 21


def test_an_ending_that_is_refused_in_any_form_waits_apart(bench: Bench) -> None:
    """Let go, its job would be given back and run again, for ever."""
    one, other = bench.hold(2)
    bench.store.refuses = lambda ending: ending.job_id == one.job.id
    bench.finisher.add(one, completed(one))
    bench.finisher.add(other, completed(other))
    bench.finisher.start()
    wait_until(lambda: bench.statuses() == [JobStatus.RUNNING, JobStatus.COMPLETED])
    wait_until(lambda: bench.sink.of(EndingDelayed))
    (delayed,) = bench.sink.of(EndingDelayed)
    assert isinstance(delayed.ending, Failed)
    wait_until(lambda: bench.holdings.all() == [one])
    bench.store.refuses = _is_refused
    assert bench.idle.wait(10)
    assert bench.statuses() == [JobStatus.FAILED, JobStatus.COMPLETED]


def test_an_ending_whose_row_is_locked_holds_up_no_other(bench: Bench) -> None:
    jobs = bench.hold(600)
    bench.store.locked = {jobs[0].job.id}
    bench.finisher.start()
    for one in jobs:
        bench.finisher.add(one, completed(one))
    wait_until(lambda: bench.holdings.all() == [jobs[0]])
    assert bench.statuses().count(JobStatus.COMPLETED) == 599
    assert bench.finisher.unwritten() == 1
    assert [event.job.id for event in bench.sink.of(EndingDelayed)] == [jobs[0].job.id]
    bench.store.locked = set()
    wait_until(lambda: set(bench.statuses()) == {JobStatus.COMPLETED})
    wait_until(lambda: bench.finisher.unwritten() == 0)


def test_a_failure_that_keeps_coming_back_is_one_endings(bench: Bench) -> None:
    jobs = bench.hold(20)
    bench.store.doubtful = {jobs[7].job.id}
    bench.finisher.start()
    for one in jobs:
        bench.finisher.add(one, completed(one))
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 19)
    wait_until(lambda: bench.sink.of(EndingDelayed))
    assert [event.job.id for event in bench.sink.of(EndingDelayed)] == [jobs[7].job.id]
    bench.store.doubtful = set()
    assert bench.idle.wait(10)
    assert set(bench.statuses()) == {JobStatus.COMPLETED}


def test_no_write_is_larger_than_its_bounds(bench: Bench) -> None:
    jobs = bench.hold(1_200)
    big = '"' + "x" * (1024 * 1024) + '"'
    for index, one in enumerate(jobs):
        bench.finisher.add(one, completed(one, big if index < 6 else "1"))
    bench.finisher.start()
    # The agenda says earlier that there is room again: once few enough of them are unwritten.
    wait_until(lambda: not len(bench.holdings))
    assert max(bench.store.batches) <= 500
    assert bench.store.batches[0] == 3, (
        "Three results of a MiB and their quotes are as much as goes together."
    )
    assert set(bench.statuses()) == {JobStatus.COMPLETED}


def test_a_finisher_with_many_unwritten_endings_is_behind(bench: Bench) -> None:
    jobs = bench.hold(501)
    bench.store.away.set()
    bench.finisher.start()
    for one in jobs[:500]:
        bench.finisher.add(one, completed(one))
    assert not bench.finisher.is_behind()
    bench.finisher.add(jobs[500], completed(jobs[500]))
    wait_until(bench.finisher.is_behind)
    bench.store.away.clear()
    assert bench.idle.wait(10)
    assert not bench.finisher.is_behind()


def test_endings_that_could_not_be_written_are_told_at_the_end(bench: Bench) -> None:
    one, other = bench.hold(2)
    bench.store.locked = {one.job.id}
    bench.finisher.start()
    for job in (one, other):
        bench.finisher.add(job, completed(job))
    wait_until(lambda: bench.sink.of(EndingDelayed))
    assert bench.finisher.stop(0.2) is False
    (told,) = bench.sink.of(EndingsUnwritten)
    assert told.count == 1
    assert isinstance(told.error, LockedJobs)


def test_progress_of_a_locked_row_is_written_when_it_is_free(bench: Bench) -> None:
    one, other = bench.hold(2)
    bench.store.locked = {one.job.id}
    bench.finisher.start()
    for job in (one, other):
        job.context.progress(1, 2)
        bench.finisher.progress.note(job.context)
    wait_until(lambda: bench.store.all()[1].progress == {"done": 1, "total": 2})
    bench.store.locked = set()
    wait_until(lambda: bench.store.all()[0].progress == {"done": 1, "total": 2})


def test_progress_that_could_not_be_written_rides_with_the_ending(bench: Bench) -> None:
    (one,) = bench.hold(1)
    bench.store.away.set()
    bench.finisher.start()
    one.context.progress(1, 2)
    bench.finisher.progress.note(one.context)
    wait_until(lambda: bench.sink.of(StoreUnavailable))
    wait_until(lambda: one.context.take_unwritten_progress() == {"done": 1, "total": 2})


def test_an_outage_loses_no_ending_and_is_told_once(bench: Bench) -> None:
    jobs = bench.hold(3)
    bench.store.away.set()
    bench.finisher.start()
    for one in jobs:
        bench.finisher.add(one, completed(one))
    wait_until(lambda: bench.sink.of(StoreUnavailable))
    assert len(bench.holdings) == 3
    bench.store.away.clear()
    assert bench.idle.wait(10)
    assert set(bench.statuses()) == {JobStatus.COMPLETED}
    assert [len(bench.sink.of(kind)) for kind in (StoreUnavailable, StoreBack)] == [1, 1]


def test_a_late_ending_is_told_as_refused(bench: Bench) -> None:
    (one,) = bench.hold(1)
    assert bench.store.finish_jobs([ending_if_unfinished(one)]) == [True]
    bench.finisher.start()
    bench.finisher.add(one, completed(one))
    assert bench.idle.wait(10)
    assert len(bench.sink.of(EndingRefused)) == 1
    assert bench.statuses() == [JobStatus.QUEUED]


def test_the_late_ending_of_a_job_that_was_given_back_is_no_news(bench: Bench) -> None:
    (one,) = bench.hold(1)
    one.given_back = True
    bench.finisher.start()
    bench.finisher.add(one, ending_if_unfinished(one))
    assert bench.idle.wait(10)
    bench.idle.clear()
    bench.finisher.add(one, completed(one))
    assert bench.idle.wait(10)
    assert bench.sink.of(EndingRefused) == []


@pytest.mark.parametrize("together", [True, False])
def test_the_late_ending_of_a_handler_that_was_given_up_ends_no_job_a_second_time(
    bench: Bench, together: bool
) -> None:
    """The store takes it for the first one, repeated because its reply was lost: it is of the same kind."""
    (one,) = bench.hold(1)
    one.given_back = True
    first, late = retried(one), retried(one, delay_seconds=5.0)
    bench.finisher.add(one, first)
    if together:
        bench.finisher.add(one, late)
    bench.finisher.start()
    assert bench.idle.wait(10)
    if not together:
        bench.idle.clear()
        bench.finisher.add(one, late)
        assert bench.idle.wait(10)
    assert [event.ending for event in bench.sink.of(JobEnded)] == [first]
    assert bench.sink.of(EndingRefused) == []
    bench.agenda.next_look()
    assert bench.agenda.seconds_until_next(with_due=False) > 50, "Nothing is due when the late one says."


def test_a_retry_tells_when_it_is_due(bench: Bench) -> None:
    (one,) = bench.hold(1)
    bench.finisher.start()
    bench.finisher.add(one, retried(one))
    assert bench.idle.wait(10)
    bench.agenda.next_look()
    assert 50 < bench.agenda.seconds_until_next(with_due=False) <= 63


def test_stopping_writes_what_is_left(bench: Bench) -> None:
    jobs = bench.hold(700)
    bench.finisher.start()
    for one in jobs:
        bench.finisher.add(one, completed(one))
    assert bench.finisher.stop(10) is True
    assert bench.statuses().count(JobStatus.COMPLETED) == 700


def test_stopping_while_the_store_is_away_gives_up_in_time(bench: Bench) -> None:
    (one,) = bench.hold(1)
    bench.store.away.set()
    bench.finisher.start()
    bench.finisher.add(one, completed(one))
    wait_until(lambda: bench.sink.of(StoreUnavailable))
    assert bench.finisher.stop(0.2) is False
    assert bench.statuses() == [JobStatus.RUNNING]


def test_progress_is_written_without_an_ending(bench: Bench) -> None:
    (one,) = bench.hold(1)
    bench.finisher.start()
    for done in range(1, 101):
        one.context.progress(done, 100)
        bench.finisher.progress.note(one.context)
    wait_until(lambda: bench.store.all()[0].progress == {"done": 100, "total": 100})
    assert len(bench.sink.of(JobProgressed)) <= 2, "At most one write a second."


def test_progress_that_cannot_be_written_spoils_nothing(bench: Bench) -> None:
    (one,) = bench.hold(1)
    bench.store.away.set()
    bench.finisher.start()
    one.context.progress(1, 2)
    bench.finisher.progress.note(one.context)
    wait_until(lambda: bench.sink.of(StoreUnavailable))
    bench.store.away.clear()
    bench.finisher.add(one, completed(one))
    assert bench.idle.wait(10)
    assert bench.statuses() == [JobStatus.COMPLETED]
