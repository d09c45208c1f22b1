"""Drain: 20,000 ready no-op jobs with two burst processes, and what one job costs the servers."""

from __future__ import annotations

import redis
from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import completion_rate, run_burst, settle, start_afresh

JOBS = 20_000


def run(servers: BenchmarkServers) -> list[Row]:
    from tests.workload.jobs import noop

    start_afresh(servers)
    noop.enqueue_many({} for _ in range(JOBS))
    settle()
    commits, commands = _commits(), _redis_commands(servers)
    run_burst(servers, "--processes", "2")
    commits, commands = _commits() - commits, _redis_commands(servers) - commands
    return [
        Row(
            name="drain, 2 processes",
            value=completion_rate(JOBS),
            unit="1/s",
            target=10_000,
            note=f"{JOBS:,} no-op jobs, first to last completion",
        ),
        Row(
            name="transactions per 1,000 jobs",
            value=1000 * commits / JOBS,
            unit="",
            note="all of the workers' lives, start and end included",
        ),
        Row(name="Redis commands per 1,000 jobs", value=1000 * commands / JOBS, unit="", note="the same"),
    ]


def _commits() -> int:
    """Return the commits of the database; those of ended processes are all in it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def _redis_commands(servers: BenchmarkServers) -> int:
    with redis.Redis.from_url(servers.services.redis_url) as client:
        return int(client.info("stats")["total_commands_processed"])
