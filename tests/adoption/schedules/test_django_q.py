"""Rows of django-q2's schedules as schedules; the table has the shape that is read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from pleme_redis_django.adoption.schedules.django_q import django_q_entries
from pleme_redis_django.adoption.schedules.tables import QSchedule
from pleme_redis_django.models import Schedule
from pleme_redis_django.schedules.tables import timing_of
from tests.adoption.schedules.conftest import NOON, ImportEntries
from tests.adoption.schedules.foreign_tables import created

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])
NEXT = datetime(2026, 11, 27, 13, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def tables(db: None, using: str) -> Iterator[None]:
    with created(connections[using], QSchedule), override_settings(TIME_ZONE="Europe/Berlin"):
        yield


def row(using: str, **fields: Any) -> QSchedule:
    given = {
        "name": "nightly",
        "func": "tests.imports.report",
        "args": "'berlin'",
        "kwargs": "pages=3",
        "schedule_type": "D",
        "repeats": -1,
        "next_run": NEXT,
    }
    return QSchedule.objects.using(using).create(**given | fields)


def schedule(using: str) -> Schedule:
    return Schedule._base_manager.using(using).get()


@pytest.mark.parametrize(
    ("kind", "fields", "timing"),
    [
        ("I", {"minutes": 5}, 300),
        ("I", {"minutes": None}, 60),
        ("H", {}, 3_600),
        ("D", {}, "30 14 * * *"),
        ("D", {"next_run": NEXT.replace(second=7, microsecond=9)}, "7 30 14 * * *"),
        ("W", {}, "30 14 * * 5"),
        ("BW", {}, 14 * 86_400),
        ("M", {}, "30 14 27 * *"),
        ("BM", {}, "30 14 27 1,3,5,7,9,11 *"),
        ("Q", {}, "30 14 27 2,5,8,11 *"),
        ("Y", {}, "30 14 27 11 *"),
        ("C", {"cron": "*/5 8-17 * * 1-5"}, "*/5 8-17 * * 1-5"),
        ("C", {"cron": "*/5 8-17 * * 1-5 30"}, "30 */5 8-17 * * 1-5"),
        ("C", {"cron": "@daily", "next_run": None}, "0 0 * * *"),
        ("C", {"cron": "0 3 1 * mon"}, "0 3 1 * mon"),
        ("C", {"cron": "0 3 ? * mon"}, "0 3 * * mon"),
    ],
)
def test_every_kind_that_repeats(
    using: str, run: ImportEntries, kind: str, fields: dict[str, Any], timing: int | str
) -> None:
    row(using, schedule_type=kind, **fields)
    assert run(django_q_entries(using)).refused == []
    found = schedule(using)
    assert (found.interval_seconds or found.cron, found.timezone) == (timing, "Europe/Berlin")
    if kind != "C":
        assert found.next_tick_at == fields.get("next_run", NEXT).replace(microsecond=0)


def test_day_stays_at_its_time_when_the_clocks_change(using: str, run: ImportEntries) -> None:
    row(using, next_run=datetime(2027, 3, 27, 9, tzinfo=UTC))
    run(django_q_entries(using))
    ticks = timing_of(schedule(using)).upcoming(2, datetime(2027, 3, 27, tzinfo=UTC))
    assert [f"{tick:%d %H}" for tick in ticks] == ["27 09", "28 08"]


def test_fortnight_says_what_the_clocks_do_to_it(using: str, run: ImportEntries) -> None:
    row(using, schedule_type="BW")
    (imported,) = run(django_q_entries(using)).imported
    assert "when the clocks change" in imported.notes[0]


@pytest.mark.parametrize(
    ("args", "kwargs", "parameters"),
    [
        ("'berlin'", None, {"shop": "berlin", "pages": 1}),
        ("'berlin', 3", "", {"shop": "berlin", "pages": 3}),
        ("('berlin', 3)", None, {"shop": "berlin", "pages": 3}),
        (None, "{'shop': 'berlin', 'pages': 3}", {"shop": "berlin", "pages": 3}),
        ("", " shop='ber' 'lin', pages=-3", {"shop": "berlin", "pages": -3}),
    ],
)
def test_literals_are_arguments(
    using: str, run: ImportEntries, args: str | None, kwargs: str | None, parameters: dict[str, Any]
) -> None:
    row(using, args=args, kwargs=kwargs)
    run(django_q_entries(using))
    stored = schedule(using).parameters
    assert {"pages": 1, **stored} == parameters


@pytest.mark.parametrize(("catch_up", "choice"), [(None, "all"), (True, "all"), (False, "one")])
def test_missed_ticks_are_caught_up_as_there(
    using: str, run: ImportEntries, catch_up: bool | None, choice: str
) -> None:
    cluster = {} if catch_up is None else {"catch_up": catch_up}
    with override_settings(Q_CLUSTER=cluster):
        row(using)
        run(django_q_entries(using))
    assert (schedule(using).catch_up, schedule(using).overlap) == (choice, "allow")


@override_settings(Q_CLUSTER={"name": "shop", "time_zone": "Asia/Tokyo"})
def test_cluster_and_zone_of_the_configuration(using: str, run: ImportEntries) -> None:
    row(using, cluster="shop")
    run(django_q_entries(using))
    assert (schedule(using).cron, schedule(using).timezone) == ("30 22 * * *", "Asia/Tokyo")


def test_rows_of_one_name_are_told_apart(using: str, run: ImportEntries) -> None:
    first, second, _third = row(using, name=None), row(using, name=None), row(using, name="x")
    run(django_q_entries(using))
    names = set(Schedule._base_manager.using(using).values_list("name", flat=True))
    assert names == {"tests.imports.report", f"tests.imports.report (django-q2 {second.pk})", "x"}
    first.delete()
    again = run(django_q_entries(using))
    assert (again.imported, len(again.there)) == ([], 2)


JANUARY_30 = datetime(2027, 1, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"schedule_type": "O"}, "it runs once"),
        ({"schedule_type": "X"}, "its type is 'X'"),
        ({"repeats": 3}, "after 3 more times"),
        ({"repeats": 0}, "after 0 more times"),
        ({"hook": "shop.done"}, "the hook shop.done"),
        ({"intended_date_kwarg": "day"}, "gives the tick as day"),
        ({"cluster": "other"}, 'of the cluster "other"'),
        ({"kwargs": "shop='a', q_options={'timeout': 3}"}, "gives async_task() q_options"),
        ({"kwargs": "timeout=3"}, "gives async_task() timeout"),
        ({"next_run": None}, "no next_run"),
        ({"schedule_type": "I", "next_run": None, "minutes": 5}, "no next_run"),
        *(({"schedule_type": kind, "next_run": JANUARY_30}, "on day 30") for kind in ("M", "BM", "Q", "Y")),
        # The 28th in UTC, the 1st in Berlin.
        ({"schedule_type": "M", "next_run": datetime(2027, 2, 28, 23, 30, tzinfo=UTC)}, "28 in UTC"),
        ({"schedule_type": "Y", "next_run": datetime(2028, 2, 29, 12, tzinfo=UTC)}, "on day 29"),
        ({"schedule_type": "C", "cron": None}, "has 0 fields"),
        ({"schedule_type": "C", "cron": "* * * * * * 2030"}, "has 7 fields"),
        ({"schedule_type": "C", "cron": "61 * * * *"}, "cannot be read"),
        ({"schedule_type": "C", "cron": "0 0 30 2 *"}, "cron expression"),
        ({"schedule_type": "C", "cron": "0 3 */2 * mon"}, "which cron reads as both"),
        ({"schedule_type": "C", "cron": "0 3 1 * */2"}, "which cron reads as both"),
        ({"args": "__import__('os').mkdir('/tmp/called')"}, "not Python literals"),
        ({"kwargs": "shop=open('/etc/passwd').read()"}, "not Python literals"),
        ({"kwargs": "**{'shop': 1}"}, "not Python literals"),
        ({"kwargs": "'a', shop=1"}, "not Python literals"),
        ({"kwargs": "shop=1)(pages=2"}, "not Python literals"),
        ({"kwargs": "['shop']"}, "not Python literals"),
        ({"args": "(" * 10_000}, "not Python literals"),
        ({"args": "-" * 15_000 + "1"}, "not Python literals"),
        ({"args": "[" * 150 + "]" * 150}, "nested"),
        ({"args": "'" + "x" * 20_000 + "'"}, "20,002 characters"),
        ({"kwargs": "pages=" + "1" * 20_000}, "20,006 characters"),
        ({"args": "{1, 2}"}, "type set"),
        ({"args": "..."}, "type ellipsis"),
        ({"args": "b'bytes'"}, "shop"),
        ({"func": "math.copysign"}, 'no @job is named "math.copysign"'),
    ],
)
def test_what_cannot_be_expressed_is_said_and_keeps_back_no_other(
    using: str, run: ImportEntries, fields: dict[str, Any], reason: str
) -> None:
    row(using, **{"name": "bad"} | fields)
    row(using, name="good")
    imports = run(django_q_entries(using))
    ((_name, said),) = imports.refused
    assert reason in said
    assert schedule(using).name == "good"


def test_interval_is_counted_from_the_next_run(using: str, run: ImportEntries) -> None:
    row(using, schedule_type="I", minutes=7, next_run=NOON - timedelta(minutes=3))
    run(django_q_entries(using))
    assert schedule(using).next_tick_at == NOON + timedelta(minutes=4)
