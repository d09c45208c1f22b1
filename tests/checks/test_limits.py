"""The checks of limits."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django import Limit, Rate
from pleme_redis_django.checks.limits import check_limits
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.registry import JobRegistry
from pleme_redis_django.orm_store.flow import declared


def handler() -> None: ...


def test_two_jobs_that_declare_one_name_differently_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = JobRegistry()
    for name, number in (("a", 5), ("b", 6), ("c", 5)):
        jobs.add(definition_of(handler, name=name, limits=[Limit(number, key="stripe"), Limit(number)]))
    monkeypatch.setattr(declared, "registry", jobs)
    (error,) = check_limits()
    assert error.id == "pleme_redis_django.E046"
    assert error.msg.startswith('a and b declare the limit "stripe" with other numbers')


def test_two_jobs_that_differ_in_shared_alone_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = JobRegistry()
    for name, shared in (("a", True), ("b", False)):
        jobs.add(definition_of(handler, name=name, limits=Limit(5, key="stripe", shared=shared)))
    monkeypatch.setattr(declared, "registry", jobs)
    (error,) = check_limits()
    assert error.id == "pleme_redis_django.E046" and "or differ in shared=" in error.msg


STRIPES = Rate(100, per_seconds=60, burst=20, key="stripe")


@pytest.mark.parametrize(
    "other",
    [
        Rate(99, per_seconds=60, burst=20, key="stripe"),
        Rate(100, per_seconds=61, burst=20, key="stripe"),
        Rate(100, per_seconds=60, burst=21, key="stripe"),
        Rate(100, per_seconds=60, key="stripe"),
        [STRIPES, Limit(5, key="stripe")],
    ],
    ids=["rate", "per_seconds", "burst", "default burst", "a Limit beside it"],
)
def test_two_jobs_whose_rates_of_one_name_differ_in_any_number_are_told(
    monkeypatch: pytest.MonkeyPatch, other: Any
) -> None:
    jobs = JobRegistry()
    same = Rate(100, per_seconds=60.0, burst=20, key="stripe")
    for name, limits in (("a", STRIPES), ("b", same), ("c", other)):
        jobs.add(definition_of(handler, name=name, limits=limits))
    monkeypatch.setattr(declared, "registry", jobs)
    (error,) = check_limits()
    assert error.id == "pleme_redis_django.E046"
    assert error.msg.startswith('a and c declare the limit "stripe" with other numbers')


def test_settings_that_are_not_accepted_are_told(settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "LIMITS": {"QUEUES": {"mail": 10}}}
    (error,) = [one for one in check_limits() if one.id == "pleme_redis_django.E047"]
    assert '["LIMITS"]["QUEUES"]' in error.msg and "Accepted: a Limit, a Rate" in error.msg


def test_an_entry_that_the_store_of_a_pool_does_not_keep_is_told(settings: Any) -> None:
    pools = {"other": {}, "mail": {"store": "tests.enqueueing.stores.WithoutLimits", "queues": ["mail"]}}
    settings.PLEME_REDIS = {
        **settings.PLEME_REDIS,
        "LIMITS": {"QUEUES": {"mail": Limit(10)}},
        "POOLS": pools,
    }
    (error,) = [one for one in check_limits() if one.id == "pleme_redis_django.E047"]
    assert 'limits jobs of the pool "mail", whose WithoutLimits keeps no limits' in error.msg
