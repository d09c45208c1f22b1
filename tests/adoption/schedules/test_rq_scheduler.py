"""Jobs of rq-scheduler as schedules: bytes as RQ writes them, in a real Redis."""

from __future__ import annotations

import json
import pickle
import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from pleme_redis_django.adoption.schedules.rq_scheduler import MAX_BYTES, rq_scheduler_entries
from pleme_redis_django.models import Schedule
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.server.rq_jobs import FIELD_MAX_BYTES, SCHEDULED
from tests.adoption.schedules.conftest import NOON, ImportEntries
from tests.adoption.schedules.test_plain_pickle import Touch

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])
PATH = "tests.imports.report"
DUE = NOON + timedelta(minutes=30)
UUID_ID = "6a3c1b1e-0000-4000-8000-000000000001"
AS_PICKLE, AS_JSON = pickle.dumps, lambda value: json.dumps(value).encode()


def scheduled(
    meta: Any,
    *,
    args: Any = ("berlin",),
    kwargs: Any = None,
    job_id: str = "nightly",
    due: datetime = DUE,
    dumps: Any = AS_PICKLE,
    **fields: bytes,
) -> None:
    """Store a job as RQ 3.0 and rq-scheduler 0.14 do."""
    call = (PATH, None, args, {} if kwargs is None else kwargs)
    given = {
        "data": zlib.compress(dumps(call)),
        "meta": dumps(meta),
        "origin": b"default",
        "description": b"tests.imports.report('berlin')",
        "success_callback_name": b"",
        "failure_callback_name": b"",
    }
    client = redis_client()
    client.hset(f"rq:job:{job_id}", mapping=given | fields)
    client.zadd(SCHEDULED, {job_id: due.timestamp()})


def imported(using: str, run: ImportEntries) -> Schedule:
    assert run(rq_scheduler_entries(None)).refused == []
    return Schedule._base_manager.using(using).get()


@pytest.mark.parametrize("dumps", [AS_PICKLE, AS_JSON])
def test_interval_is_counted_from_its_next_time(using: str, run: ImportEntries, dumps: Any) -> None:
    scheduled({"interval": 300}, kwargs={"pages": 2}, dumps=dumps)
    row = imported(using, run)
    assert (row.name, row.job_type, row.source) == ("nightly", PATH, "admin")
    assert row.parameters == {"shop": "berlin", "pages": 2}
    assert (row.interval_seconds, row.cron, row.starts_at) == (300, "", DUE)
    assert (row.catch_up, row.overlap, row.queue_name) == ("one", "allow", "")


@override_settings(TIME_ZONE="Europe/Berlin")
@pytest.mark.parametrize(
    ("cron", "local", "due", "zone"),
    [
        ("30 12 * * mon-fri", False, DUE, "UTC"),
        ("30 13 * * mon-fri", False, DUE, "Europe/Berlin"),
        ("30 13 * * mon-fri", True, DUE, "Europe/Berlin"),
        ("*/30 * * * *", False, DUE, "UTC"),
        ("*/30 * * * *", True, DUE, "Europe/Berlin"),
    ],
)
def test_zone_of_a_crontab_is_the_one_that_its_next_time_is_of(
    using: str, run: ImportEntries, cron: str, local: bool, due: datetime, zone: str
) -> None:
    scheduled({"cron_string": cron, "use_local_timezone": local}, due=due)
    row = imported(using, run)
    assert (row.timezone, row.next_tick_at) == (zone, due)


@override_settings(TIME_ZONE="Europe/Berlin")
def test_crontab_of_a_machine_somewhere_else_is_refused(run: ImportEntries) -> None:
    scheduled({"cron_string": "30 4 * * *", "use_local_timezone": False})
    ((_name, said),) = run(rq_scheduler_entries(None)).refused
    assert "in the zone of the machine" in said


def test_word_and_year_of_a_crontab(using: str, run: ImportEntries) -> None:
    scheduled({"cron_string": "@hourly"}, job_id="a", due=NOON)
    scheduled({"cron_string": "0 * * * * *"}, job_id="b", due=NOON)
    assert run(rq_scheduler_entries(None)).refused == []
    assert set(Schedule._base_manager.using(using).values_list("cron", flat=True)) == {"0 * * * *"}


def test_queue_that_somebody_named_is_kept(using: str, run: ImportEntries) -> None:
    scheduled({"interval": 5}, origin=b"mail")
    assert imported(using, run).queue_name == "mail"


def test_what_is_not_carried_over_is_said(run: ImportEntries) -> None:
    scheduled({"interval": 5}, timeout=b"180", ttl=b"60")
    (found,) = run(rq_scheduler_entries(None)).imported
    assert "timeout and ttl" in found.notes[0]


@pytest.mark.parametrize(
    ("description", "shown"),
    [
        # Arguments may be secret, and names are shown to everybody.
        (b"tests.imports.report('secret')", "tests.imports.report"),
        (b"every\n night", "every night"),
        (b"", "job"),
        (b"x" * 300, f"{'x' * 97}..."),
    ],
)
def test_job_without_a_name_of_its_own_is_named_by_what_it_does(
    using: str, run: ImportEntries, description: bytes, shown: str
) -> None:
    scheduled({"interval": 5}, job_id=UUID_ID, description=description)
    assert imported(using, run).name == f"{shown} 6a3c1b1e"
    assert run(rq_scheduler_entries(None)).there == [f"{shown} 6a3c1b1e"]


def test_nothing_there_is_nothing_to_import(run: ImportEntries) -> None:
    imports = run(rq_scheduler_entries(None))
    assert (imports.imported, imports.refused) == ([], [])


def test_nothing_is_unpickled(tmp_path: Path, using: str, run: ImportEntries) -> None:
    path = tmp_path / "called"
    scheduled({"interval": 5}, args=(Touch(path),), job_id="data")
    scheduled({"interval": 5, "x": Touch(path)}, job_id="meta")
    imports = run(rq_scheduler_entries(None))
    assert {name for name, _why in imports.refused} == {"data", "meta"}
    assert all("nothing is unpickled here" in why for _name, why in imports.refused)
    assert not path.exists()


def bomb(size: int) -> bytes:
    return zlib.compress(b"\x80\x04" + b"N" * size)


@pytest.mark.parametrize(
    ("meta", "fields", "reason"),
    [
        ({}, {}, "it runs once"),
        ({"interval": 0}, {}, "it runs once"),
        ({"interval": 5, "repeat": 3}, {}, "after 3 more times"),
        ({"interval": 5, "repeat": 0}, {}, "after 0 more times"),
        ({"interval": "5"}, {}, "its interval is '5'"),
        ({"interval": -5}, {}, "The interval is -5"),
        ({"cron_string": "* * * * * * *"}, {}, "its cron_string is"),
        ({"cron_string": "0 0 1 * * 2030"}, {}, "its cron_string is"),
        ({"cron_string": "0 0 1 * mon"}, {}, "cron fires on either"),
        ({"cron_string": "0 0 l * *"}, {}, "cannot be read"),
        ({"cron_string": 5}, {}, "its cron_string is"),
        ([1], {}, "its meta is not a dict"),
        ({"interval": 5}, {"success_callback_name": b"shop.done"}, "on_success"),
        ({"interval": 5}, {"failure_callback_name": b"shop.done"}, "on_failure"),
        ({"interval": 5}, {"dependency_ids": b'["a"]'}, "depends_on"),
        ({"interval": 5}, {"data": b"x" * (FIELD_MAX_BYTES + 1)}, "more than 262,144 bytes"),
        ({"interval": 5, "x": b"x" * FIELD_MAX_BYTES}, {}, "more than 262,144 bytes"),
        ({"interval": 5}, {"data": bomb(MAX_BYTES * 40)}, "more than 1,000,000 bytes"),
        ({"interval": 5}, {"data": zlib.compress(b"[1, 2, 3, 4]")[:-3]}, "cut off"),
        ({"interval": 5}, {"data": b"\xff\x00"}, "neither JSON nor a pickle"),
        ({"interval": 5}, {"data": b"[" * 100_000}, "neither JSON nor a pickle"),
        ({"interval": 5}, {"data": b""}, "cut off"),
        ({"interval": 5}, {"data": b"[1, 2, 3]"}, "not a call of RQ"),
        ({"interval": 5}, {"data": b"[1, null, [], {}]"}, "not a call of RQ"),
        ({"interval": 5}, {"data": b'["a", null, {}, {}]'}, "not a call of RQ"),
        ({"interval": 5}, {"data": b'["a", "x", [], {}]'}, "a method of an object"),
        ({"interval": 5}, {"data": pickle.dumps((PATH, None, (Decimal(1),), {}))}, "decimal.Decimal"),
        ({"interval": 5}, {"data": pickle.dumps((PATH, None, (), {}), 0)}, "neither JSON nor a pickle"),
        ({"interval": 5}, {"data": b'["nowhere", null, [], {}]'}, "--map nowhere="),
    ],
)
def test_what_cannot_be_expressed_is_said_and_keeps_back_no_other(
    using: str, run: ImportEntries, meta: Any, fields: dict[str, bytes], reason: str
) -> None:
    scheduled(meta, job_id="bad", **fields)
    scheduled({"interval": 5}, job_id="good")
    imports = run(rq_scheduler_entries(None))
    ((name, said),) = imports.refused
    assert name == "bad"
    assert reason in said
    assert [each.name for each in imports.imported] == ["good"]


def test_job_that_is_gone_and_one_that_is_no_hash_are_said(run: ImportEntries) -> None:
    client = redis_client()
    client.zadd(SCHEDULED, {"gone": 1, "text": 2, b"\xff": 3})
    client.set("rq:job:text", "x")
    imports = run(rq_scheduler_entries(None))
    assert [why.split(".")[0] for _name, why in imports.refused] == ["its job is gone from Redis"] * 3


def test_time_that_no_clock_has_is_said(run: ImportEntries) -> None:
    scheduled({"interval": 5})
    redis_client().zadd(SCHEDULED, {"nightly": float("inf")})
    ((_name, said),) = run(rq_scheduler_entries(None)).refused
    assert "its time is inf" in said


def test_year_past_what_schedules_hold_is_said(run: ImportEntries) -> None:
    scheduled({"interval": 5}, due=datetime(3500, 1, 1, tzinfo=UTC))
    ((_name, said),) = run(rq_scheduler_entries(None)).refused
    assert "starts_at is 3500" in said
