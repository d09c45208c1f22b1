"""What the machine and the bare servers can do: the scale on which every other figure is read."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import redis

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers

SECONDS = 1.0


def run(servers: BenchmarkServers) -> list[Row]:
    url = servers.services.database_url
    with (
        psycopg.connect(url, autocommit=True) as connection,
        redis.Redis.from_url(servers.services.redis_url) as client,
    ):
        connection.execute("CREATE TABLE IF NOT EXISTS bench_machine (number int)")
        commits = _per_second(lambda: connection.execute("INSERT INTO bench_machine VALUES (1)"))
        connection.execute("DROP TABLE bench_machine")
        reads = _per_second(lambda: connection.execute("SELECT 1").fetchone())
        pings = _per_second(client.ping)
    return [
        Row(
            name="PostgreSQL durable commit",
            value=commits,
            unit="1/s",
            note="one INSERT each, one connection",
        ),
        Row(name="PostgreSQL round trip", value=1e6 / reads, unit="us", note="SELECT 1"),
        Row(name="Redis round trip", value=1e6 / pings, unit="us", note="PING"),
        Row(name="Python loop", value=_python_loop() / 1e6, unit="M/s", note="additions in one thread"),
    ]


def _per_second(action: Callable[[], object]) -> float:
    count = 0
    started = time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        action()
        count += 1
    return count / (time.perf_counter() - started)


def _python_loop() -> float:
    total, repetitions = 0, 5_000_000
    started = time.perf_counter()
    for number in range(repetitions):
        total += number
    return repetitions / (time.perf_counter() - started)
