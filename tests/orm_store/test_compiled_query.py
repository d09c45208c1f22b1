"""CompiledQuery reads rows as the ORM does, its JSON columns too."""

from __future__ import annotations

from typing import Any

import pytest
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
