"""How many rows of jobs PostgreSQL fetches during a call: what a claim reads past shows there alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection


def rows_read(call: Callable[[], Any]) -> int:
    """Return how many rows of jobs PostgreSQL fetches during the call."""
    before = _fetched()
    call()
    return _fetched() - before


def _fetched() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables "
            "WHERE relname = 'pleme_redis_django_job'"
        )
        return int(cursor.fetchone()[0])


def rows_read_since_start(call: Callable[[], Any]) -> int:
    """Return how many rows of jobs PostgreSQL fetches during the call, in transactions of its own."""
    before = _fetched_since_start()
    call()
    return _fetched_since_start() - before


def _fetched_since_start() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables "
            "WHERE relname = 'pleme_redis_django_job'"
        )
        return int(cursor.fetchone()[0])


def blocks_read(call: Callable[[], Any]) -> int:
    """Return how many blocks of the job table PostgreSQL looks at during the call: dead rows count as well."""
    before = _looked_at()
    call()
    return _looked_at() - before


def _looked_at() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_blocks_fetched('pleme_redis_django_job'::regclass)")
        return int(cursor.fetchone()[0])
