"""Lookups: each database is asked in its own way, and answers the same."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection

from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.lookups import SecondsSince, any_of, number_array, text_array, uuid_array
from tests.rows import BACKENDS, ago, make_job

pytestmark = pytest.mark.django_db(databases=BACKENDS)


@pytest.mark.parametrize("using", BACKENDS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_any_of_finds_the_rows_of_a_list_and_no_other(using: str, count: int) -> None:
    jobs = [make_job(using) for _ in range(4)]
    asked = [job.pk for job in jobs[:count]]
    rows = Job._base_manager.using(using)
    assert set(rows.filter(any_of("pk", [*asked, uuid.uuid4()])).values_list("pk", flat=True)) == set(asked)


def test_a_long_list_is_one_parameter_on_postgresql() -> None:
    rows = Job._base_manager.using("default").filter(any_of("pk", [uuid.uuid4() for _ in range(2_000)]))
    _sql, parameters = rows.query.get_compiler("default").as_sql()
    assert len(parameters) == 1


def test_an_array_of_nothing_is_valid() -> None:
    assert uuid_array([]) == "{}"


@pytest.mark.parametrize(
    "texts", [[], [""], ["NULL", "k:a:ü 漢"], ['a"b', "\\", 'c\\"', "{d,e}", "f,g", " h ", "%s", "it's"]]
)
def test_an_array_of_texts_arrives_as_it_was(texts: list[str]) -> None:
    numbers = list(range(len(texts)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[], %s::int[]", [text_array(texts), number_array(numbers)])
        assert cursor.fetchone() == (texts, numbers)


@pytest.mark.parametrize("using", BACKENDS)
def test_seconds_since_is_a_number_by_the_databases_clock(using: str) -> None:
    job = make_job(using, run_after=ago(90))
    row = Job._base_manager.using(using).annotate(waited=SecondsSince("run_after")).get(pk=job.pk)
    assert isinstance(row.waited, float)
    assert 89.9 <= row.waited < 120
