"""Memory of a worker process, idle and at the peak of a drain; and what an idle one asks of the database."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import (
    insert_ready_jobs,
    start_afresh,
    wait_until,
    worker_pids,
    worker_processes,
)

PROCESSES = 2
JOBS = 20_000
SETTLE_SECONDS = 2.0
IDLE_SECONDS = 20.0


def run(servers: BenchmarkServers) -> list[Row]:
    plain = {**servers.environment, "DJANGO_SETTINGS_MODULE": "tests.benchmarks.plain_settings"}
    with _idle_workers(dataclasses.replace(servers, environment=plain)) as pids:
        idle = _memory(pids)
        idle_transactions = _idle_transactions()
        draining = _peak_while_draining(pids)
    with _idle_workers(servers) as pids:
        beside_others = _memory(pids)
    return [
        Row(
            name="memory idle, RSS",
            value=idle["Rss"],
            unit="MiB",
            target=70,
            at_least=False,
            note="per worker process, in a project of nothing else",
        ),
        Row(
            name="memory idle, PSS", value=idle["Pss"], unit="MiB", note="shared pages counted by their share"
        ),
        Row(
            name="memory idle beside the admin, RSS",
            value=beside_others["Rss"],
            unit="MiB",
            note="in the suite's project: admin, example shop, Pillow",
        ),
        Row(
            name="memory draining, RSS", value=draining["Rss"], unit="MiB", note=f"peak, {JOBS:,} no-op jobs"
        ),
        Row(name="memory draining, PSS", value=draining["Pss"], unit="MiB"),
        Row(
            name="idle transactions",
            value=idle_transactions,
            unit="1/s",
            target=1,
            at_least=False,
            note=f"per process, over {IDLE_SECONDS:.0f} s, with Redis",
        ),
    ]


@contextmanager
def _idle_workers(servers: BenchmarkServers) -> Iterator[list[int]]:
    """Run worker processes that have nothing to do for the block; yield their pids."""
    start_afresh(servers)
    with worker_processes(servers, "default", "--processes", str(PROCESSES)):
        wait_until(lambda: len(worker_pids()) == PROCESSES, "the workers register")
        time.sleep(SETTLE_SECONDS)
        yield worker_pids()


def _memory(pids: list[int]) -> dict[str, float]:
    return {kind: max(_mebibytes(pid, kind) for pid in pids) for kind in ("Rss", "Pss")}


def _mebibytes(pid: int, kind: str) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no {kind}.")


def _peak_while_draining(pids: list[int]) -> dict[str, float]:
    from tests.workload.jobs import noop

    insert_ready_jobs(JOBS)
    noop.enqueue()
    peak = {"Rss": 0.0, "Pss": 0.0}

    def done() -> bool:
        for kind in peak:
            peak[kind] = max(peak[kind], *(_mebibytes(pid, kind) for pid in pids))
        return _left() == 0

    wait_until(done, "the drain ends")
    return peak


def _left() -> int:
    from pleme_redis_django.models import Job

    return Job.objects.exclude(status="COMPLETED").count()


def _idle_transactions() -> float:
    """Return the transactions a second and process. Statistics arrive up to a second late: hence the length."""
    before = _commits()
    time.sleep(IDLE_SECONDS)
    # The two looks are transactions of this connection, not of the workers.
    return (_commits() - before - 2) / IDLE_SECONDS / PROCESSES


def _commits() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
