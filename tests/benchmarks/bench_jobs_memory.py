"""Memory of a worker process, idle and at the peak of a drain; and what an idle one asks of the database.

Processes that compile what they import keep some of the memory that this took, so that all of it is compiled before,
as that of an installed package is.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import (
    insert_ready_jobs,
    run_burst,
    start_afresh,
    wait_until,
    worker_pids,
    worker_processes,
)

PROCESSES = 2
JOBS = 20_000
SETTLE_SECONDS = 2.0
IDLE_SECONDS = 20.0
OTHERS = """
import django, psycopg, redis
django.setup()
import django.db.backends.postgresql.base
print(next(line.split()[1] for line in open("/proc/self/smaps_rollup") if line.startswith("Rss:")))
"""


PLAIN_PROJECT = "tests.benchmarks.plain_project"


def run(servers: BenchmarkServers) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="pleme-compiled-") as folder:
        return _rows(_with(servers, PYTHONPYCACHEPREFIX=folder, PYTHONDONTWRITEBYTECODE=""))


def _rows(servers: BenchmarkServers) -> list[Row]:
    plain = _with(servers, DJANGO_SETTINGS_MODULE=f"{PLAIN_PROJECT}.settings")
    with _idle_workers(plain) as (supervisor, pids):
        idle = _memory(pids)
        of_supervisor = _memory([supervisor])
        together = sum(_mebibytes(pid, "Rss") for pid in (supervisor, *pids))
        idle_transactions = _idle_transactions()
        draining = _peak_while_draining(pids)
    with _idle_workers(servers) as (_supervisor, pids):
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
        Row(name="memory of the supervisor, RSS", value=of_supervisor["Rss"], unit="MiB"),
        Row(
            name=f"memory of --processes {PROCESSES}, RSS",
            value=together,
            unit="MiB",
            target=120,
            at_least=False,
            note=f"supervisor and workers, idle; {_of_others(servers):.0f} MiB of each worker are not of this package",
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
def _idle_workers(servers: BenchmarkServers) -> Iterator[tuple[int, list[int]]]:
    """Run worker processes that have nothing to do for the block; yield the supervisor's pid and theirs."""
    start_afresh(servers)
    run_burst(servers, "default")  # It compiles what they import.
    with worker_processes(servers, "default", "--processes", str(PROCESSES)) as supervisor:
        wait_until(lambda: len(worker_pids()) == PROCESSES, "the workers register")
        time.sleep(SETTLE_SECONDS)
        yield supervisor.pid, worker_pids()


def _with(servers: BenchmarkServers, **variables: str) -> BenchmarkServers:
    return dataclasses.replace(servers, environment={**servers.environment, **variables})


def _of_others(servers: BenchmarkServers) -> float:
    """Return what Python, Django, psycopg and redis alone take in a process of a project that has no more."""
    ended = [
        subprocess.run(
            [sys.executable, "-c", OTHERS],
            env=_with(servers, DJANGO_SETTINGS_MODULE="tests.benchmarks.bare_settings").environment,
            capture_output=True,
            text=True,
            check=True,
        )
        for _compiled_by_the_first in range(2)
    ]
    return float(ended[-1].stdout) / 1024


def _memory(pids: list[int]) -> dict[str, float]:
    return {kind: max(_mebibytes(pid, kind) for pid in pids) for kind in ("Rss", "Pss")}


def _mebibytes(pid: int, kind: str) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no {kind}.")


def _peak_while_draining(pids: list[int]) -> dict[str, float]:
    from tests.benchmarks.plain_project.jobs import noop

    insert_ready_jobs(JOBS, job_type=noop.name)
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
