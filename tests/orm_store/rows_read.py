"""How many rows of jobs PostgreSQL fetches during a call: what a claim reads past shows there alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection

_FETCHED_SQL = "SELECT seq_tup_read + idx_tup_fetch FROM {view} WHERE relname = 'pleme_redis_django_job'"
_FETCHED_HERE_SQL = _FETCHED_SQL.format(view="pg_stat_xact_user_tables")
_FETCHED_BY_ALL_SQL = _FETCHED_SQL.format(view="pg_stat_user_tables")
_BLOCKS_SQL = "SELECT pg_stat_get_xact_blocks_fetched('pleme_redis_django_job'::regclass)"
# What other transactions of this session have read is told only from time to time.
_TELL_NOW_SQL = "SELECT pg_stat_force_next_flush()"


def rows_read(call: Callable[[], Any]) -> int:
    """Return how many rows of jobs PostgreSQL fetches during the call."""
    return _grown(call, _FETCHED_HERE_SQL)


def rows_read_since_start(call: Callable[[], Any]) -> int:
    """Return how many rows of jobs PostgreSQL fetches during the call, in transactions of its own."""
    return _grown(call, _TELL_NOW_SQL, _FETCHED_BY_ALL_SQL)


def blocks_read(call: Callable[[], Any]) -> int:
    """Return how many blocks of the job table PostgreSQL looks at during the call: dead rows count as well."""
    return _grown(call, _BLOCKS_SQL)


def _grown(call: Callable[[], Any], *asking: str) -> int:
    """Return by how much a number of PostgreSQL's grows during the call: that of the last statement."""
    before = _number(*asking)
    call()
    return _number(*asking) - before


def _number(*asking: str) -> int:
    with connection.cursor() as cursor:
        for sql in asking:
            cursor.execute(sql)
        return int(cursor.fetchone()[0])
