"""Rows of django-celery-beat as schedules; the tables have the shape that is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from pleme_redis_django.adoption.schedules.celery_beat import celery_beat_entries
from pleme_redis_django.adoption.schedules.tables import CrontabSchedule, IntervalSchedule, PeriodicTask
from pleme_redis_django.models import Schedule
from pleme_redis_django.schedules.tables import timing_of
from tests.adoption.schedules.conftest import NOON, ImportEntries
from tests.adoption.schedules.foreign_tables import created

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


@pytest.fixture(autouse=True)
def tables(db: None, using: str) -> Iterator[None]:
    with created(connections[using], IntervalSchedule, CrontabSchedule, PeriodicTask):
        yield


def crontab(using: str, **fields: str) -> CrontabSchedule:
    given = {
        **{"minute": "0", "hour": "3", "day_of_month": "*", "month_of_year": "*", "day_of_week": "*"},
        "timezone": "Europe/Berlin",
    }
    return CrontabSchedule.objects.using(using).create(**given | fields)


def interval(using: str, every: int, period: str) -> IntervalSchedule:
    return IntervalSchedule.objects.using(using).create(every=every, period=period)


def task(using: str, **fields: Any) -> PeriodicTask:
    given = {
        "name": "nightly",
        "task": "tests.imports.report",
        "args": '["berlin"]',
        "kwargs": '{"pages": 3}',
        "headers": "{}",
        "one_off": False,
        "enabled": True,
        "date_changed": NOON - timedelta(days=1, seconds=7),
    }
    return PeriodicTask.objects.using(using).create(**given | fields)


def schedule(using: str) -> Schedule:
    return Schedule._base_manager.using(using).get()


def test_crontab_is_a_cron_expression_in_its_zone(using: str, run: ImportEntries) -> None:
    task(using, crontab=crontab(using, hour="22-2", day_of_week="mon"))
    assert run(celery_beat_entries(using)).refused == []
    row = schedule(using)
    assert (row.name, row.product, row.source, row.job_type) == (
        "nightly",
        "shop",
        "admin",
        "tests.imports.report",
    )
    assert row.parameters == {"shop": "berlin", "pages": 3}
    assert (row.cron, row.timezone, row.interval_seconds) == ("0 0-2,22-23 * * 1", "Europe/Berlin", None)
    assert (row.catch_up, row.overlap) == ("one", "allow")
    assert (row.enabled, row.paused_at, row.queue_name) == (True, None, "")
    assert row.next_tick_at == datetime(2026, 11, 29, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("every", "period", "seconds"),
    [
        *((2, "days", 172_800), (3, "hours", 10_800), (5, "minutes", 300), (7, "seconds", 7)),
        (2_000_000, "microseconds", 2),
    ],
)
def test_interval_goes_on_from_the_last_run(
    using: str, run: ImportEntries, every: int, period: str, seconds: int
) -> None:
    last = NOON - timedelta(seconds=1)
    task(using, interval=interval(using, every, period), last_run_at=last)
    run(celery_beat_entries(using))
    row = schedule(using)
    assert (row.interval_seconds, row.starts_at) == (seconds, last)
    assert row.next_tick_at == last + timedelta(seconds=seconds)


def test_interval_that_has_not_run_counts_from_when_it_was_changed(using: str, run: ImportEntries) -> None:
    row = task(using, interval=interval(using, 1, "hours"))
    run(celery_beat_entries(using))
    assert schedule(using).starts_at == row.date_changed


def test_start_and_end_are_kept(using: str, run: ImportEntries) -> None:
    end = datetime(2026, 12, 3, 2, tzinfo=UTC)
    task(using, crontab=crontab(using), start_time=datetime(2026, 12, 1, tzinfo=UTC), expires=end)
    run(celery_beat_entries(using))
    # Celery fires none at the very time of the end.
    assert [f"{tick:%d %H:%M}" for tick in timing_of(schedule(using)).upcoming(5, NOON)] == [
        "01 02:00",
        "02 02:00",
    ]


def test_disabled_one_is_imported_paused(using: str, run: ImportEntries) -> None:
    task(using, crontab=crontab(using), enabled=False)
    (imported,) = run(celery_beat_entries(using)).imported
    row = schedule(using)
    assert (row.enabled, row.paused_at, row.paused_by) == (True, NOON, "importschedules")
    assert "not enabled in django-celery-beat" in row.pause_reason
    assert imported.words.endswith("paused")


def test_queue_is_kept_where_its_name_is_one_here(using: str, run: ImportEntries) -> None:
    task(using, crontab=crontab(using), queue="mail")
    run(celery_beat_entries(using))
    assert schedule(using).queue_name == "mail"


def test_what_is_not_carried_over_is_said(using: str, run: ImportEntries) -> None:
    left_behind = {
        "queue": "no queue!",
        "priority": 5,
        "expire_seconds": 60,
        "exchange": "x",
        "headers": '{"a": 1}',
    }
    task(using, crontab=crontab(using), **left_behind)
    (imported,) = run(celery_beat_entries(using)).imported
    said = "\n".join(imported.notes)
    for word in ("queue 'no queue!'", "priority 5", "expire_seconds 60", "exchange", "headers"):
        assert word in said
    assert (schedule(using).queue_name, schedule(using).priority) == ("", None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"solar_id": 1}, "by the sun"),
        ({"clocked_id": 1, "one_off": True}, "at one time alone"),
        ({"one_off": True}, "one_off"),
        ({}, "no crontab and no interval"),
        ({"crontab": {"day_of_month": "1-7", "day_of_week": "mon"}}, "cron fires on either"),
        ({"crontab": {"minute": "61"}}, "minute '61' cannot be read"),
        ({"crontab": {"timezone": "Mars/Olympus"}}, "The zone is 'Mars/Olympus'"),
        ({"crontab": {"day_of_month": "31", "month_of_year": "2"}}, "cron expression"),
        ({"interval": (500_000, "microseconds")}, "least is a second"),
        ({"interval": (1_500_000, "microseconds")}, "least is a second"),
        ({"interval": (0, "seconds")}, "The interval is 0"),
        ({"interval": (-5, "seconds")}, "The interval is -5"),
        ({"interval": (400, "days")}, "The interval is 34560000"),
        ({"interval": (2, "weeks")}, "its period is 'weeks'"),
        ({"crontab": {}, "expires": NOON}, "has ended"),
        ({"crontab": {}, "start_time": NOON, "expires": NOON}, "before it starts"),
        ({"crontab": {}, "args": "[1"}, "args are '[1', which is not a JSON list"),
        ({"crontab": {}, "args": "{}"}, "not a JSON list"),
        ({"crontab": {}, "kwargs": "[]"}, "not a JSON object"),
        ({"crontab": {}, "args": "[" * 100_000}, "not a JSON list"),
        ({"crontab": {}, "args": "[NaN]"}, "the number nan"),
        (
            {"crontab": {}, "kwargs": json.dumps({"shop": {"__type__": "uuid", "__value__": "x"}})},
            "as kombu writes",
        ),
        ({"crontab": {}, "args": "[]"}, "missing"),
        ({"crontab": {}, "args": "[1, 2, 3, 4]", "kwargs": ""}, "too many positional arguments"),
        ({"crontab": {}, "kwargs": '{"shop": "paris"}'}, "multiple values"),
        (
            {
                **{"crontab": {}, "task": "tests.imports.anything", "args": ""},
                "kwargs": json.dumps({"a": "x" * 70_000}),
            },
            "the limit is 65,536",
        ),
        ({"crontab": {}, "name": "a\nb"}, "printable characters"),
        ({"crontab": {}, "name": " "}, "printable characters"),
        ({"crontab": {}, "task": "tests.imports.reporter"}, "Did you mean tests.imports.report"),
        ({"crontab": {}, "task": "nowhere"}, "--map nowhere="),
    ],
)
def test_what_cannot_be_expressed_is_said_and_keeps_back_no_other(
    using: str, run: ImportEntries, fields: dict[str, Any], reason: str
) -> None:
    if "crontab" in fields:
        fields = fields | {"crontab": crontab(using, **fields["crontab"])}
    if "interval" in fields:
        fields = fields | {"interval": interval(using, *fields["interval"])}
    task(using, **{"name": "bad"} | fields)
    task(using, name="good", crontab=crontab(using))
    imports = run(celery_beat_entries(using))
    ((_name, said),) = imports.refused
    assert reason in said
    assert [each.name for each in imports.imported] == ["good"]
    assert schedule(using).name == "good"


@override_settings(DJANGO_CELERY_BEAT_TZ_AWARE=False)
def test_crontab_whose_zone_is_not_in_its_row_is_refused(using: str, run: ImportEntries) -> None:
    task(using, crontab=crontab(using))
    ((_name, said),) = run(celery_beat_entries(using)).refused
    assert "DJANGO_CELERY_BEAT_TZ_AWARE" in said


def test_clean_up_of_celery_is_not_needed(using: str, run: ImportEntries) -> None:
    task(using, name="celery.backend_cleanup", task="celery.backend_cleanup", crontab=crontab(using))
    imports = run(celery_beat_entries(using))
    ((name, _why),) = imports.not_needed
    assert (name, imports.imported, imports.refused) == ("celery.backend_cleanup", [], [])


@pytest.mark.parametrize("using", ["sqlite"])
@override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin")
def test_times_without_zones_are_of_the_project(using: str) -> None:
    task(using, interval=interval(using, 1, "hours"), date_changed=datetime(2026, 7, 1, 12))  # noqa: DTZ001 - as stored
    (entry,) = celery_beat_entries(using)
    assert entry.read().timing.starts_at == datetime(2026, 7, 1, 10, tzinfo=UTC)
