"""Bounds of attempts: what a row says, over what its pool does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pleme_redis_django.jobs.interface.bounds import Bounds, BoundsOfJobs

POOL = Bounds(timeout=300, kill_after=10, atomic=False)


def row(timeout: object = None, configuration: object = None) -> Any:
    return SimpleNamespace(timeout_seconds=timeout, configuration=configuration)


@pytest.fixture
def of_jobs() -> BoundsOfJobs:
    return BoundsOfJobs(POOL)


def test_a_row_that_says_nothing_has_the_bounds_of_its_pool(of_jobs: BoundsOfJobs) -> None:
    assert of_jobs.of(row()) is POOL
    assert of_jobs.of(SimpleNamespace(configuration=None)) is POOL


def test_a_row_says_more_than_its_pool(of_jobs: BoundsOfJobs) -> None:
    assert of_jobs.of(row(5.0)) == Bounds(timeout=5.0, kill_after=10, atomic=False)
    assert of_jobs.of(row(5.0, {"kill_after": 0, "interrupt": False, "other": 1})) == Bounds(
        timeout=5.0, kill_after=0, interrupt=False, atomic=False
    )
    assert of_jobs.of(row(None, {"kill_after": 1})) == Bounds(timeout=300, kill_after=1, atomic=False)


@pytest.mark.parametrize("timeout", [0, -1.0, True, "5", float("nan"), float("inf"), 10**12, [5], {}])
def test_a_timeout_that_is_none_is_passed_over(of_jobs: BoundsOfJobs, timeout: object) -> None:
    of_jobs.of(row(1.0))  # True is equal to it.
    assert of_jobs.of(row(timeout)) is POOL
    assert of_jobs.of(row(timeout, {"kill_after": 1})).timeout == 300


@pytest.mark.parametrize("configuration", [[1], "timeout", 5, {"kill_after": "5"}, {"interrupt": 1}])
def test_a_configuration_that_is_none_is_passed_over(of_jobs: BoundsOfJobs, configuration: object) -> None:
    assert of_jobs.of(row(5.0, configuration)) == Bounds(timeout=5.0, kill_after=10, atomic=False)


def test_jobs_of_one_timeout_share_their_bounds_and_no_number_of_timeouts_fills_the_memory(
    of_jobs: BoundsOfJobs,
) -> None:
    assert of_jobs.of(row(5.0)) is of_jobs.of(row(5.0))
    for milliseconds in range(1, 1_000):
        assert of_jobs.of(row(milliseconds / 1000)).timeout == milliseconds / 1000
    assert len(of_jobs._by_timeout) <= 64
