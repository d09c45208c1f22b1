"""Checks of schedules: what the code declares, and what is stored."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test.utils import override_settings

from pleme_redis_django import cron, every
from pleme_redis_django.checks import schedules
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.registry import JobRegistry
from pleme_redis_django.models import Schedule
from pleme_redis_django.schedules.declaring import declarations
from tests.workload.jobs import noop


def first() -> None: ...
def second() -> None: ...


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the code declare these schedules, one job each."""

    def _declare(**of_jobs: Any) -> None:
        registry = JobRegistry()
        for name, schedule in of_jobs.items():
            registry.add(definition_of({"first": first, "second": second}[name], schedule=schedule))
        monkeypatch.setattr(schedules, "registry", registry)
        monkeypatch.setattr(schedules, "declarations", lambda: declarations(registry))

    return _declare


def found(check: Any, **settings: Any) -> list[tuple[str, str]]:
    with override_settings(PLEME_REDIS=django_settings.PLEME_REDIS | settings):
        return [(str(message.id).rpartition(".")[2], message.msg) for message in check()]


def test_good_ones_pass(declare: Any) -> None:
    declare(first=[cron("* * * * *"), every(5)], second=every(5))
    assert found(schedules.check_declared_schedules) == []


def test_two_jobs_declare_one_name(declare: Any) -> None:
    declare(first=every(5, name="same"), second=every(6, name="same"))
    ((identity, said),) = found(schedules.check_declared_schedules)
    assert identity == "E040"
    assert 'both declare a schedule "same" for the product default' in said


def test_one_name_in_two_products_is_fine(declare: Any) -> None:
    declare(first=every(5, name="same", product="a"), second=every(6, name="same", product="b"))
    assert found(schedules.check_declared_schedules) == []


def test_no_product(declare: Any) -> None:
    declare(first=every(5), second=every(5, product="acme"))
    ((identity, said),) = found(schedules.check_declared_schedules, PRODUCT=None)
    assert (identity, "first" in said) == ("E041", True)


def test_no_pool_fires_them(declare: Any) -> None:
    declare(first=every(5))
    pools = {"mail": {"executor": "tests.checks.test_jobs.AnyExecutor"}}
    ((identity, said),) = found(schedules.check_declared_schedules, POOLS=pools)
    assert (identity, "no pool fires them" in said) == ("W042", True)


@pytest.mark.django_db
def test_stored_ones_that_cannot_be_read() -> None:
    values = {"product": "default", "job_type": noop.name, "timezone": "UTC"}
    Schedule.objects.create(name="good", cron="* * * * *", **values)
    Schedule.objects.create(name="bad", cron="99 * * * *", **values)
    Schedule.objects.create(name="gone", cron="* * * * *", **values | {"job_type": "shop.gone"})
    Schedule.objects.create(name="off", cron="* * * * *", enabled=False, disabled_reason="why", **values)
    ((identity, said),) = found(schedules.check_stored_schedules)
    assert identity == "W043"
    assert said.startswith("3 schedule(s) cannot be read")
    assert "bad of default: " in said
    assert "No job is named 'shop.gone'" in said
    assert "off of default: why" in said


@pytest.mark.django_db
def test_one_that_was_made_in_the_admin_keeps_the_declared_one_out(declare: Any) -> None:
    declare(first=every(5, name="same"))
    Schedule.objects.create(product="default", name="same", cron="* * * * *", job_type=noop.name)
    ((identity, said),) = found(schedules.check_stored_schedules)
    assert (identity, "Only that one fires" in said) == ("W044", True)


def test_a_database_without_tables_is_left_to_another_check() -> None:
    assert found(schedules.check_stored_schedules, DATABASE="nowhere") == []
