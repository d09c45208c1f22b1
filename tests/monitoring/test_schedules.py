"""What people see of schedules: their state in words, the next ticks, the last ones, and what is wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.models import Schedule, ScheduleTick
from pleme_redis_django.models.schedule import ScheduleSource
from pleme_redis_django.monitoring.schedules import (
    ScheduleReport,
    schedule_reasons,
    schedule_reports,
    schedule_rows,
    tick_of_job,
)
from pleme_redis_django.monitoring.snapshot import snapshot
from tests.rows import BACKENDS, make_job, make_worker
from tests.workload.jobs import noop

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


def make(name: str = "nightly", *, using: str = "default", **fields: Any) -> Schedule:
    values = {"product": "default", "job_type": noop.name, "cron": "0 3 * * *", "timezone": "Europe/Berlin"}
    values |= {"next_tick_at": timezone.now() + timedelta(hours=1), **fields}
    return Schedule._base_manager.using(using).create(name=name, **values)


def report_of(schedule: Schedule) -> ScheduleReport:
    return schedule_reports([schedule])[0]


def tick(schedule: Schedule, minutes_ago: float = 5, **fields: Any) -> ScheduleTick:
    values = {"outcome": "enqueued", "tick_at": timezone.now() - timedelta(minutes=minutes_ago), **fields}
    return ScheduleTick._base_manager.using(schedule._state.db).create(schedule=schedule, **values)


@pytest.mark.parametrize("using", BACKENDS)
def test_a_healthy_one(using: str) -> None:
    schedule = make(using=using)
    job = make_job(using, status="COMPLETED")
    tick(schedule, 10, outcome="overlap")
    tick(schedule, 5, job_id=job.id)
    other = make("other", using=using)
    tick(other)
    report, _other = schedule_reports([schedule, other])
    assert (report.state, report.reason) == ("fires", "")
    assert report.words == "at 03:00 every day, Berlin time"
    assert [each.outcome for each in report.ticks] == ["overlap", "enqueued"]
    assert report.ticks[-1].job_status == "COMPLETED"
    assert len(report.upcoming) == 5
    assert report.upcoming[0] > datetime.now(UTC)


@pytest.mark.parametrize(
    ("fields", "state", "reason"),
    [
        ({"enabled": False, "disabled_reason": "The zone is 'X'."}, "disabled", "The zone is 'X'."),
        (
            {"paused_at": "2026-01-01T00:00Z", "paused_by": "ada", "pause_reason": "why"},
            "paused",
            "Paused by ada: why",
        ),
        ({"next_tick_at": None}, "ended", "It has no tick any more."),
        (
            {"next_tick_at": "2026-01-01T00:00Z"},
            "late",
            f"no live worker process knows the job type {noop.name}.",
        ),
    ],
)
def test_states_of_one_that_does_not_fire(fields: dict[str, Any], state: str, reason: str) -> None:
    report = report_of(Schedule._base_manager.get(pk=make(**fields).pk))
    assert report.state == state
    assert report.reason.endswith(reason)


def test_one_whose_last_job_failed() -> None:
    schedule = make()
    tick(schedule, 10, job_id=make_job(status="COMPLETED").id)
    tick(schedule, 5, job_id=make_job(status="FAILED").id)
    assert (report_of(schedule).state, report_of(schedule).reason) == (
        "failing",
        "The job of its last tick failed.",
    )


def test_one_whose_last_tick_was_missed() -> None:
    schedule = make()
    tick(schedule, 5, outcome="missed")
    assert (report_of(schedule).state, report_of(schedule).reason) == ("failing", "Its last tick was missed.")


def test_one_that_is_late_though_workers_know_its_job() -> None:
    make_worker(job_types=[noop.name], declared_schedules=[])
    schedule = Schedule._base_manager.get(pk=make(next_tick_at="2026-01-01T00:00Z").pk)
    assert report_of(schedule).reason.endswith("has not been fired yet.")


def test_a_row_that_cannot_be_read_has_a_report_all_the_same() -> None:
    report = report_of(make(cron="99 99 * * *", timezone="Nowhere"))
    assert (report.words, report.upcoming) == ("99 99 * * *, Nowhere", ())


def test_a_page_asks_as_many_queries_for_one_as_for_many() -> None:
    counts = []
    for number in range(2):
        for more in range(1 + 20 * number):
            tick(make(f"number {number} {more}"), job_id=make_job().id)
        with CaptureQueriesContext(connections["default"]) as queries:
            schedule_reports(list(schedule_rows()))
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 5


def test_which_tick_made_a_job() -> None:
    schedule, job = make(), make_job()
    assert tick_of_job(job.id) is None
    tick(schedule, 9, job_id=job.id, outcome="kept")
    assert tick_of_job(job.id) is None
    made = tick(schedule, 5, job_id=job.id)
    found = tick_of_job(job.id)
    assert found == made
    assert found is not None
    assert found.schedule.name == "nightly"


def test_disabled_and_late_schedules_are_problems_of_the_dashboard() -> None:
    make("fine")
    make("off", enabled=False, disabled_reason="The zone is 'X'.")
    make("late", next_tick_at=timezone.now() - timedelta(minutes=10))
    make("paused", paused_at=timezone.now(), next_tick_at=timezone.now() - timedelta(days=1))
    assert [reason.text for reason in schedule_reasons(EVERY_PRODUCT, datetime.now(UTC))] == [
        "the schedule off of default is disabled: The zone is 'X'",
        "the schedule late of default was due 10 m ago, and no worker fires it",
    ]
    assert "the schedule off of default is disabled" in snapshot().health.sentence


def test_a_late_schedule_that_no_live_process_declares_is_a_warning() -> None:
    """Its code may be gone with the last release: nobody has to do anything."""
    for name in ("declared", "away"):
        make(name, source=ScheduleSource.CODE, next_tick_at=timezone.now() - timedelta(minutes=10))
    make_worker(declared_schedules=[["default", "declared", "digest"]])
    assert {reason.text: reason.level for reason in schedule_reasons(EVERY_PRODUCT, datetime.now(UTC))} == {
        "the schedule away of default was due 10 m ago, and no process that is alive declares it: it goes when "
        "none has for a day": "warning",
        "the schedule declared of default was due 10 m ago, and no worker fires it": "critical",
    }


def test_nothing_of_other_products_is_told() -> None:
    make("theirs", product="globex", enabled=False, disabled_reason="secret")
    ours = ProductScope(products=frozenset(["acme"]))
    assert schedule_reasons(ours, datetime.now(UTC)) == []
    assert list(schedule_rows(ours)) == []
    assert "globex" not in snapshot(ours).health.sentence
