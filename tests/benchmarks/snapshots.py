"""Snapshots that are held, as a long report or a dump holds one: PostgreSQL then forgets no ended job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.benchmarks.servers import BenchmarkServers


@contextmanager
def held_snapshot(servers: BenchmarkServers) -> Iterator[None]:
    """Hold a snapshot for the block."""
    with psycopg.connect(servers.environment["DATABASE_URL"]) as report:
        report.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        report.execute("SELECT count(*) FROM pleme_redis_django_job")
        yield
