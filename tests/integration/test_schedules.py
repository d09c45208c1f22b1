"""Schedules with real worker processes: what the code declares is stored and fired, in the time that it takes."""

from __future__ import annotations

import pytest

from pleme_redis_django import Job
from pleme_redis_django.models import Schedule, WorkerProcess
from pleme_redis_django.schedules import run_schedule_now
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.workload.jobs import noop

pytestmark = pytest.mark.process
NIGHTLY = "example_project.shop.jobs.report_of_the_day"


def test_a_worker_stores_what_the_code_declares_and_fires_what_people_made(
    start_workers: StartWorkers,
) -> None:
    Schedule.objects.create(
        product="default",
        name="every second",
        job_type=noop.name,
        interval_seconds=1,
        next_tick_at="2026-01-01T00:00:00Z",
        catch_up="one",
    )
    # With the shop, whose code declares the nightly report.
    workers = start_workers(environment={"DJANGO_SETTINGS_MODULE": "tests.settings"})
    wait_for(
        lambda: Job.objects.filter(job_type=noop.name, status="COMPLETED").count() >= 3,
        "three ticks are worked off",
        details=workers.output,
    )
    declared = Schedule.objects.get(name=NIGHTLY)
    assert (declared.source, declared.cron, declared.timezone) == ("code", "0 3 * * *", "Europe/Berlin")
    (worker,) = WorkerProcess.objects.all()
    assert [declared.product, declared.name, declared.digest] in worker.declared_schedules
    report = run_schedule_now(NIGHTLY)
    wait_for(
        lambda: Job.objects.get(pk=report.pk).status == "COMPLETED",
        "the report is made",
        details=workers.output,
    )
    assert Job.objects.get(pk=report.pk).results == {"orders": 0, "revenue_cents": 0}


def test_a_burst_fires_nothing(start_workers: StartWorkers) -> None:
    Schedule.objects.create(
        product="default",
        name="due",
        job_type=noop.name,
        cron="* * * * *",
        next_tick_at="2026-01-01T00:00:00Z",
    )
    assert start_workers("--burst").exit_code() == 0
    assert not Job.objects.exists()
