"""CompiledQuery reads rows as the ORM does, its JSON columns too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connections
from django.db.models import JSONField

from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.compiled_query import _is_plain_json, _json, compile_query
from tests.rows import BACKENDS, make_job

pytestmark = pytest.mark.django_db(databases=BACKENDS)

VALUES = [{}, {"a": [1, 2.5, None, True, "\u00e9\u4e2d"]}, {"deep": {"er": [{}]}}, {"n": 10**20}]


@pytest.mark.parametrize("using", BACKENDS)
def test_json_columns_are_read_as_the_orm_reads_them(using: str) -> None:
    for value in VALUES:
        make_job(using, parameters=value, configuration=value or None, metadata=value)
    rows = Job._base_manager.using(using).order_by("id")
    compiled = compile_query(rows, using)
    own = [converters for converters, _expression in compiled.converters.values() if converters == [_json]]
    assert len(own) == sum(isinstance(field, JSONField) for field in Job._meta.concrete_fields)
    read = compiled.fetch()
    assert [job.__dict__ | {"_state": None} for job in read] == [
        job.__dict__ | {"_state": None} for job in rows
    ]


def test_each_row_has_an_empty_dict_of_its_own() -> None:
    first, second = _json("{}", None, None), _json("{}", None, None)
    assert first == second == {} and first is not second


@pytest.mark.parametrize("field", [JSONField(decoder=dict), type("Special", (JSONField,), {})()])
def test_a_field_that_reads_in_a_way_of_its_own_keeps_it(field: Any) -> None:
    class Column:
        target = field

    assert not _is_plain_json(Column(), [field.from_db_value])


TIMES = [
    datetime(2026, 11, 27, 17, 44, 14, 123456, tzinfo=UTC),
    datetime(2026, 11, 27, 17, 44, 14, 120000, tzinfo=UTC),
    datetime(2026, 11, 27, 17, 44, 14, tzinfo=UTC),
    datetime(1900, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 29, tzinfo=UTC),
]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_times_in_a_statement_of_its_own_are_read_as_the_orm_reads_them(zone: str) -> None:
    for time in TIMES:
        make_job(run_after=time)
    session = connections["default"]
    of_the_session = session.timezone
    with session.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', %s, true)", [zone])
    # As with DATABASES["default"]["TIME_ZONE"].
    session.timezone = UTC if zone == "UTC" else ZoneInfo(zone)
    try:
        rows = Job.objects.order_by("id").only("id", "run_after", "expires_at")
        compiled = compile_query(rows, "default", times_as_text=True)
        with session.cursor() as cursor:
            cursor.execute(f"SELECT {compiled.columns_sql} FROM {Job._meta.db_table} ORDER BY id")
            read = compiled.instances(cursor.fetchall())
        assert [(job.run_after, job.run_after.utcoffset(), job.expires_at) for job in read] == [
            (time, time.astimezone(session.timezone).utcoffset(), None) for time in TIMES
        ]
    finally:
        session.timezone = of_the_session
