"""Jobs and schedules that this code cannot run."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.registry import JobRegistry
from pleme_redis_django.management.checkjobs.findings import UNKNOWN, read_jobs, read_schedules
from pleme_redis_django.models import Job, Schedule
from pleme_redis_django.orm_store.job_table import JobTable
from tests.rows import BACKENDS, make_job


def mail(to: str, subject: str = "") -> None: ...
def bill(amount: Decimal, day: date) -> None: ...


@pytest.fixture
def definitions() -> JobRegistry:
    registry = JobRegistry()
    registry.add(definition_of(mail, name="mail"))
    return registry


def read(definitions: JobRegistry, using: str = "default", limit: int = 100, **options: Any) -> Any:
    known = options.pop("known", frozenset({"mail"}))
    return read_jobs(JobTable(Job, using), known, limit=limit, definitions=definitions, **options)


@pytest.mark.parametrize("using", BACKENDS)
@pytest.mark.django_db(databases=["default", "sqlite"])
def test_rows_of_one_fault_are_one_finding(definitions: JobRegistry, using: str) -> None:
    make_job(using, job_type="mail", parameters={"to": "a"})
    first = make_job(using, job_type="mail", parameters={"receiver": "a"})
    make_job(using, job_type="mail", parameters={"receiver": "b"}, status=JobStatus.PENDING)
    make_job(using, job_type="mail", parameters=["a"])
    running = make_job(using, job_type="gone", status=JobStatus.RUNNING)
    reading = read(definitions, using)
    assert (reading.rows, reading.is_whole) == (5, True)
    unfit, a_list, gone = reading.findings
    assert (unfit.count, unfit.example, unfit.where) == (2, str(first.pk), "pleme_redis_django.Job")
    assert "missing ['to'], unknown ['receiver']" in unfit.problem
    assert a_list.problem == "the parameters are a list, and have to be a JSON object"
    assert (gone.job_type, gone.problem, gone.example) == ("gone", UNKNOWN, str(running.pk))


@pytest.mark.django_db
def test_rows_whose_values_an_annotation_refuses_are_counted_by_the_parameter(
    definitions: JobRegistry,
) -> None:
    definitions.add(definition_of(bill, name="bill"))
    good: dict[str, Any] = {"amount": "9.50", "day": "2026-01-31"}
    rows = [{"amount": "much"}, {"amount": "more"}, {"day": "today"}, {}]
    first, *_ = [make_job(job_type="bill", parameters=good | wrong) for wrong in rows]
    amount, day = read(definitions, known=frozenset({"bill"})).findings
    assert (amount.count, amount.example, day.count) == (2, str(first.pk), 1)
    assert "the stored amount is 'much' (str), and its annotation is Decimal" in amount.problem
    assert "the stored day is 'today' (str), and its annotation is date" in day.problem


@pytest.mark.django_db
@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED])
def test_what_has_ended_is_not_asked(definitions: JobRegistry, status: JobStatus) -> None:
    make_job(job_type="gone", status=status)
    assert read(definitions).rows == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    "status", [JobStatus.QUEUED, JobStatus.BLOCKED, JobStatus.PENDING, JobStatus.RUNNING]
)
def test_what_has_not_ended_is_asked(definitions: JobRegistry, status: JobStatus) -> None:
    make_job(job_type="gone", status=status)
    assert read(definitions).rows == 1


@pytest.mark.django_db
def test_an_executor_that_takes_any_type_knows_them_all(definitions: JobRegistry) -> None:
    make_job(job_type="gone")
    assert read(definitions, known=None).findings == []


@pytest.mark.django_db
def test_a_limit_is_said(definitions: JobRegistry) -> None:
    for _ in range(3):
        make_job(job_type="gone")
    reading = read(definitions, limit=2)
    assert (reading.rows, reading.is_whole, reading.findings[0].count) == (2, False, 2)
    assert read(definitions, limit=3).is_whole


@pytest.mark.django_db
def test_schedules_that_are_enabled_are_read(definitions: JobRegistry) -> None:
    fields: dict[str, Any] = {"product": "shop", "interval_seconds": 60, "source": "admin"}
    Schedule.objects.create(name="gone", job_type="gone", **fields)
    Schedule.objects.create(name="fine", job_type="mail", parameters={"to": "a"}, **fields)
    Schedule.objects.create(name="unfit", job_type="mail", parameters={}, **fields)
    Schedule.objects.create(name="off", job_type="gone", enabled=False, **fields)
    gone, unfit = read_schedules("default", definitions)
    assert (gone.example, gone.job_type) == ("shop: gone", "gone")
    assert "missing ['to']" in unfit.problem
