"""Which dialect a table has: that of its database, as the app has bound them."""

from __future__ import annotations

from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.dialects import portable
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.dialects.postgresql import dialect as postgresql
from pleme_redis_django.orm_store.job_table import JobTable


def test_a_table_has_the_dialect_of_its_database() -> None:
    assert dialect_of(JobTable(Job, "default")) is postgresql
    assert dialect_of(JobTable(Job, "sqlite")) is portable
