"""Which dialect a job table uses, by the vendor of its database."""

from __future__ import annotations

from typing import Any

from django.db import connections

from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.dialects.portable import PortableDialect
from pleme_redis_django.orm_store.dialects.postgresql.dialect import PostgresqlDialect
from pleme_redis_django.orm_store.job_table import JobTable

_BY_VENDOR: dict[str, Dialect] = {"postgresql": PostgresqlDialect()}
_PORTABLE: Dialect = PortableDialect()


def dialect_of(table: JobTable[Any]) -> Dialect:
    """Return the dialect of the database that the table is on."""
    return _BY_VENDOR.get(connections[table.using].vendor, _PORTABLE)
