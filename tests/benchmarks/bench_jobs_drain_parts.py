"""Where the time of a drain goes: the processor's time for each job, by thread of the workers and by server process."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.stamps.threads import EVERY_SECONDS, FOLDER_VARIABLE, read
from tests.benchmarks.workers import (
    completion_rate,
    cpu_seconds,
    insert_ready_jobs,
    settle,
    start_afresh,
    wait_until,
    worker_pids,
    worker_processes,
)

JOBS = 100_000
THREADS = {"pleme-claimer": "claims", "pleme-jobs": "handlers", "pleme-finisher": "endings"}
# How the statements begin that a thread sends last: a claim was planned before, and a look ahead reads the pauses.
STATEMENTS = {
    "EXECUTE pleme_": "claims",
    '(SELECT "pleme_redis_django_queuepause"': "claims",
    "SELECT set_config": "endings",
}


def run(servers: BenchmarkServers) -> list[Row]:
    from tests.workload.jobs import noop

    start_afresh(servers)
    with (
        tempfile.TemporaryDirectory(prefix="pleme-threads-") as folder,
        worker_processes(_timed(servers, folder), "default", "--processes", "2"),
    ):
        wait_until(lambda: len(worker_pids()) == 2, "the workers register")
        insert_ready_jobs(JOBS)
        settle()
        before, postgres_before = _workers(folder), _postgres()
        noop.enqueue_many({} for _ in range(2))
        wait_until(_is_done, "every job ends")
        after, postgres_after = _workers(folder), _postgres()
    spent = after - before
    of_postgres = _by_statement(postgres_before, postgres_after)
    note = f"us of the processor for each of {JOBS:,} no-op jobs, 2 processes"
    return [
        Row(name="drain of idle workers", value=completion_rate(JOBS + 2), unit="1/s", note=note),
        *_rows("workers", spent),
        *_rows("PostgreSQL", of_postgres),
    ]


def _timed(servers: BenchmarkServers, folder: str) -> BenchmarkServers:
    variables = {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.stamps.settings", FOLDER_VARIABLE: folder}
    return dataclasses.replace(servers, environment={**servers.environment, **variables})


def _workers(folder: str) -> Counter[str]:
    """Return what the threads have taken by now."""
    time.sleep(2 * EVERY_SECONDS)
    times: Counter[str] = Counter()
    for name, seconds in read(Path(folder)).items():
        times[THREADS.get(name, "rest")] += seconds
    return times


def _postgres() -> dict[int, tuple[str, float]]:
    """Return the last statement and the seconds of each process of the server, but of that which asks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, CASE backend_type WHEN 'client backend' THEN query ELSE '' END"
            " FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
        return {pid: (query, cpu_seconds(pid)) for pid, query in cursor.fetchall()}


def _by_statement(before: dict[int, tuple[str, float]], after: dict[int, tuple[str, float]]) -> Counter[str]:
    times: Counter[str] = Counter()
    for pid, (query, seconds) in after.items():
        kind = next((kind for begin, kind in STATEMENTS.items() if query.startswith(begin)), "rest")
        times[kind] += seconds - before.get(pid, ("", 0.0))[1]
    return times


def _rows(whose: str, seconds: Counter[str]) -> Iterator[Row]:
    parts = {name: 1e6 * spent / JOBS for name, spent in sorted(seconds.items())}
    for name, microseconds in parts.items():
        yield Row(name=f"{whose}: {name}", value=microseconds, unit="us")
    yield Row(name=f"{whose}: all", value=sum(parts.values()), unit="us")


def _is_done() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT NOT EXISTS (SELECT FROM pleme_redis_django_job WHERE status <> 'COMPLETED')")
        return bool(cursor.fetchone()[0])
