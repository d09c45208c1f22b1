"""``manage.py importschedules``: what it prints, refuses, and how it ends."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from pleme_redis_django.adoption.schedules.tables import (
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    QSchedule,
)
from pleme_redis_django.models import Schedule
from pleme_redis_django.redis_state.server.redis_call import redis_client
from tests.adoption.schedules import jobs
from tests.adoption.schedules.foreign_tables import created

pytestmark = pytest.mark.django_db
NAME = jobs.report.name


@pytest.fixture
def beat(db: None) -> Iterator[None]:
    with created(connection, IntervalSchedule, CrontabSchedule, PeriodicTask):
        yield


def task(name: str = "nightly", **fields: Any) -> None:
    given = {
        **{
            "name": name,
            "task": NAME,
            "args": '["berlin"]',
            "kwargs": "{}",
            "one_off": False,
            "enabled": True,
        },
        "date_changed": timezone.now(),
        "interval": IntervalSchedule.objects.create(every=5, period="minutes"),
    }
    PeriodicTask.objects.create(**given | fields)


def printed(*arguments: str, code: int = 0) -> list[str]:
    out = io.StringIO()
    if not code:
        call_command("importschedules", *arguments, stdout=out)
        return out.getvalue().splitlines()
    with pytest.raises(CommandError) as refusal:
        call_command("importschedules", *arguments, stdout=out)
    assert refusal.value.returncode == code
    return [*out.getvalue().splitlines(), str(refusal.value)]


@pytest.mark.usefixtures("beat")
def test_each_entry_is_said_and_summed_up() -> None:
    task()
    task("important", priority=3, enabled=False)
    task("sunrise", solar_id=1)
    dry = printed("celery-beat", "--dry-run", code=1)
    assert not Schedule.objects.exists()
    lines = printed("celery-beat", code=1)
    assert lines == [
        f"imported: nightly: {NAME}, every 5 minutes",
        f"imported: important: {NAME}, every 5 minutes, paused",
        "  priority 3: not carried over; set one in the admin, or give it to @job",
        "cannot be expressed: sunrise: it goes by the sun. Have a daily job look up the time, and enqueue another one "
        "for it.",
        "imported 2, already there 0, cannot be expressed 1",
        "Some entries cannot be expressed as schedules.",
    ]
    assert dry == [line.replace("imported", "could be imported") for line in lines]
    again = printed("celery-beat", code=1)
    assert again[:2] == ["already there, left as it is: nightly", "already there, left as it is: important"]
    assert again[-2] == "imported 0, already there 2, cannot be expressed 1"


@pytest.mark.usefixtures("beat")
def test_product_and_names_are_as_asked_for() -> None:
    task(task="shop.old")
    lines = printed(
        "celery-beat", "--product", "acme", "--map", f"shop.old={NAME}", "--map", f"shop.gone={NAME}"
    )
    row = Schedule.objects.get()
    assert (row.product, row.job_type) == ("acme", NAME)
    assert lines[-2:] == [
        "--map: no entry calls shop.gone",
        "imported 1, already there 0, cannot be expressed 0",
    ]


@pytest.mark.usefixtures("beat")
def test_names_are_one_line_and_nothing_that_a_terminal_obeys() -> None:
    task("a\nimported 9\x1b[2J\u202e", task="b\r\x1b]0;")
    refused, _summary, _error = printed("celery-beat", code=1)
    assert refused.startswith("cannot be expressed: a\ufffdimported 9\ufffd[2J\ufffd: no @job")
    assert refused.isprintable()


@pytest.mark.usefixtures("beat")
def test_nothing_to_import_is_no_failure() -> None:
    assert printed("celery-beat") == ["imported 0, already there 0, cannot be expressed 0"]


@pytest.mark.usefixtures("beat")
def test_what_is_not_needed_is_summed_up_and_no_failure() -> None:
    task("celery.backend_cleanup", task="celery.backend_cleanup")
    assert printed("celery-beat")[-1] == "imported 0, already there 0, cannot be expressed 0, not needed 1"


def test_django_q2() -> None:
    with created(connection, QSchedule):
        given = {
            "func": NAME,
            "args": "'berlin'",
            "schedule_type": "H",
            "repeats": -1,
            "next_run": timezone.now(),
        }
        QSchedule.objects.create(**given)
        assert printed("django-q2")[-1] == "imported 1, already there 0, cannot be expressed 0"
    assert Schedule.objects.get().name == NAME


def test_rq_scheduler_of_another_server(backing_services: Any) -> None:
    call = pickle.dumps((NAME, None, ("berlin",), {}))
    url = backing_services.redis_url
    client = redis_client(url=url)
    client.hset("rq:job:a", mapping={"data": call, "meta": pickle.dumps({"interval": 60})})
    client.zadd("rq:scheduler:scheduled_jobs", {"a": 1_800_000_000})
    assert (
        printed("rq-scheduler", "--redis-url", url)[-1]
        == "imported 1, already there 0, cannot be expressed 0"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["celery-beat"], "has no django_celery_beat_periodictask"),
        (["django-q2"], "has no django_q_schedule"),
        (["celery-beat", "--database", "nowhere"], '--database is "nowhere". Accepted: default'),
        (["celery-beat", "--redis-url", "redis://x"], "--redis-url is of rq-scheduler alone"),
        (["rq-scheduler", "--database", "default"], "--database is of tables"),
        (["rq-scheduler", "--redis-url", "redis://127.0.0.1:1/0"], "Redis did not do what it was asked to"),
        (["rq-scheduler", "--redis-url", "http://x"], "redis://"),
        (["rq-scheduler", "--product", "no product!"], "is not a valid product name"),
        (["rq-scheduler", "--map", "x"], '--map is "x". Accepted: OLD=NEW'),
        (["rq-scheduler", "--map", "=y"], "--map is"),
        (["rq-scheduler", "--map", f"x={NAME}r"], f"Did you mean {NAME}?"),
        (["rq-scheduler", "--map", f"x={NAME}", "--map", "x=tests.imports.noop"], "names two jobs for x"),
    ],
)
def test_what_cannot_be_asked_is_said(arguments: list[str], said: str) -> None:
    assert said in printed(*arguments, code=2)[-1]


@pytest.mark.usefixtures("beat")
def test_table_of_another_version_is_said() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_celery_beat_periodictask DROP COLUMN one_off")
    assert "of the version that the guide names" in printed("celery-beat", code=2)[-1]


@pytest.mark.parametrize("source", ["celery", ""])
def test_unknown_scheduler_is_refused(source: str) -> None:
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("importschedules", source)
