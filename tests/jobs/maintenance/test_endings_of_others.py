"""What becomes of a job that its worker did not end: pure decisions."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django import JobClaim, JobStatus, WorkerPoolConfig
from pleme_redis_django.jobs.interface.endings import Cancelled, Ending, Failed, GivenBack, Retried
from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_UNSEEN_DEATHS
from pleme_redis_django.jobs.maintenance.endings_of_others import (
    APART_SECONDS,
    STALE,
    WORKER_DIED,
    ending_after_death,
    ending_after_unseen_death,
    ending_of_stale,
)
from pleme_redis_django.testing import MemoryJob
from tests.jobs.recording import WORKER

CONFIG = WorkerPoolConfig()
CLAIM = JobClaim(worker_id=WORKER, attempt=4)


def running(**fields: Any) -> MemoryJob:
    return MemoryJob(status=JobStatus.RUNNING, worker_id=WORKER, attempt=4, **fields)


def after_death(*, may_have_killed: bool = True, **fields: Any) -> Any:
    return ending_after_death(running(**fields), CLAIM, CONFIG, may_have_killed=may_have_killed)


@pytest.mark.parametrize("crash_count", [0, 1, 2, 5])
def test_a_death_that_says_nothing_of_the_job_costs_nothing(crash_count: int) -> None:
    ending = after_death(may_have_killed=False, crash_count=crash_count, retry_count=3, max_retries=3)
    assert isinstance(ending, GivenBack)
    assert (ending.claim, ending.crashed, ending.delay_seconds) == (CLAIM, False, 0)
    assert ending.failure is not None
    assert ending.failure.error_code == WORKER_DIED
    assert WORKER in ending.failure.message


@pytest.mark.parametrize("crash_count", [0, 1])
def test_what_ran_at_a_death_is_counted_and_parts_from_its_neighbours(crash_count: int) -> None:
    endings = [after_death(crash_count=crash_count, retry_count=3, max_retries=3) for _ in range(50)]
    assert {(type(ending), ending.crashed) for ending in endings} == {(GivenBack, True)}
    delays = [ending.delay_seconds for ending in endings]
    assert min(delays) >= 0
    assert max(delays) <= APART_SECONDS
    assert max(delays) - min(delays) > APART_SECONDS / 4


def test_a_death_of_a_job_that_ran_alone_is_its_own() -> None:
    ending = after_death(crash_count=2, max_retries=3)
    assert isinstance(ending, Failed)
    assert (ending.crashed, ending.failure.error_code) == (True, WORKER_DIED)
    assert "while it ran this job alone" in ending.failure.message


def test_a_pool_may_ask_for_more_deaths() -> None:
    patient = WorkerPoolConfig(max_crashes=4)
    job = running(crash_count=2)
    assert isinstance(ending_after_death(job, CLAIM, patient, may_have_killed=True), GivenBack)
    job = running(crash_count=3)
    assert isinstance(ending_after_death(job, CLAIM, patient, may_have_killed=True), Failed)


def after_unseen_death(**fields: Any) -> Any:
    return ending_after_unseen_death(running(**fields), CLAIM, CONFIG)


def test_the_first_unseen_death_is_counted_and_the_job_runs_again_at_once() -> None:
    ending = after_unseen_death(retry_count=3, max_retries=3)
    assert isinstance(ending, GivenBack)
    assert (ending.unseen_death, ending.crashed, ending.delay_seconds) == (True, False, 0)
    assert ending.failure is not None
    assert "vanished while it ran this job (attempt 4)" in ending.failure.message


def test_later_unseen_deaths_part_the_job_from_its_neighbours() -> None:
    delays = [after_unseen_death(unseen_deaths=1).delay_seconds for _ in range(50)]
    assert max(delays) <= APART_SECONDS
    assert max(delays) - min(delays) > APART_SECONDS / 4


@pytest.mark.parametrize(
    ("crash_count", "unseen_deaths", "kind"),
    [
        (0, CONFIG.max_unseen_deaths - 1, GivenBack),  # Never alone: no store makes such a job.
        (2, CONFIG.max_unseen_deaths - 2, GivenBack),
        (2, CONFIG.max_unseen_deaths - 1, Failed),
    ],
)
def test_a_job_fails_after_many_unseen_deaths_the_last_ones_alone(
    crash_count: int, unseen_deaths: int, kind: type[Ending]
) -> None:
    ending = after_unseen_death(crash_count=crash_count, unseen_deaths=unseen_deaths)
    assert type(ending) is kind
    assert (ending.unseen_death, ending.failure.error_code) == (True, WORKER_DIED)
    assert f"number {unseen_deaths + 1} in a row" in ending.failure.message


def test_the_attempts_say_when_a_job_begins_to_run_alone() -> None:
    counts = range(SUSPECT_AFTER_UNSEEN_DEATHS)
    messages = [after_unseen_death(unseen_deaths=count).failure.message for count in counts]
    assert ["again, alone" in message for message in messages] == [False] * (len(counts) - 1) + [True]


def test_a_suspect_by_unseen_deaths_tells_of_them_when_it_kills_its_process() -> None:
    ending = after_death(crash_count=2, unseen_deaths=5)
    assert isinstance(ending, Failed)
    assert "after 5 in a row that had vanished" in ending.failure.message


@pytest.mark.parametrize("configuration", [["x"], "x", 5, {"base_retry_delay": 10**400}])
def test_an_odd_configuration_has_the_pools_delay(configuration: Any) -> None:
    ending = ending_of_stale(running(configuration=configuration, max_retries=1), CLAIM, CONFIG)
    assert isinstance(ending, Retried)
    assert 60 <= ending.delay_seconds <= 3_960


class JobWithoutCrashCount:
    """A job of a store that keeps no crash count: every death is charged."""

    def __init__(self, *, can_retry: bool) -> None:
        self._job = running(max_retries=3 if can_retry else 0)

    def __getattr__(self, name: str) -> Any:
        if name in ("crash_count", "unseen_deaths", "started_at"):
            raise AttributeError(name)
        return getattr(self._job, name)


@pytest.mark.parametrize(("can_retry", "kind"), [(True, Retried), (False, Failed)])
def test_without_a_crash_count_every_death_is_charged(can_retry: bool, kind: type[Ending]) -> None:
    job: Any = JobWithoutCrashCount(can_retry=can_retry)
    assert isinstance(ending_after_death(job, CLAIM, CONFIG, may_have_killed=True), kind)
    assert isinstance(ending_after_death(job, CLAIM, CONFIG), GivenBack)
    unseen = ending_after_unseen_death(job, CLAIM, CONFIG)
    assert isinstance(unseen, GivenBack)
    assert unseen.unseen_death is False, "the store could not count it"


@pytest.mark.parametrize("decide", [ending_after_death, ending_after_unseen_death, ending_of_stale])
@pytest.mark.parametrize("fields", [{}, {"crash_count": 1, "started_at": 1.0}, {"max_retries": 0}])
def test_a_job_that_was_asked_to_end_is_not_run_again(decide: Any, fields: dict[str, Any]) -> None:
    ending = decide(running(cancel_requested=True, **fields), CLAIM, CONFIG)
    assert isinstance(ending, Cancelled)
    assert ending.failure.message


def test_a_silent_job_is_retried_while_it_can_be() -> None:
    ending = ending_of_stale(running(retry_count=0, max_retries=1), CLAIM, CONFIG)
    assert isinstance(ending, Retried)
    assert (ending.retry_count, ending.failure.error_code) == (1, STALE)
    assert "7,200 s" in ending.failure.message


def test_a_silent_job_without_retries_fails_with_the_whole_story() -> None:
    ending = ending_of_stale(running(retry_count=1, max_retries=1), CLAIM, CONFIG)
    assert isinstance(ending, Failed)
    for word in ("attempt 4", "retry 1 of 1", WORKER, "ctx.progress()"):
        assert word in ending.failure.message
