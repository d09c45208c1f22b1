"""This package beside PgQueuer, in turns: one job at a time, 20,000 at once, a drain, and the latency of single jobs.

Both on the same PostgreSQL with two worker processes, each as its own documentation says: here ``enqueue`` and
``runworkers``, there asyncpg, uvloop and batches of 100. It makes an environment for PgQueuer in ``.venvs/peers``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.db import connection

from tests.benchmarks import bench_jobs_drain, bench_jobs_latency, latency_floor
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import percentile, settle, start_afresh, wait_until

PEER = "pgqueuer==1.6.0"
FOLDER = Path(__file__).resolve().parents[2] / ".venvs" / "peers"
PYTHON = FOLDER / "bin" / "python"
PROGRAM = Path(__file__).with_name("pgqueuer_program.py")
PROCESSES = 2
SLICES, PER_SLICE = 20, 50
BULK = 20_000
TIMED = 250
WARM_UP = 20


def run(servers: BenchmarkServers) -> list[Row]:
    _make_environment()
    start_afresh(servers)
    with _program("produce") as producer:
        rows = [*_single(producer), *_bulk(producer), *_drain(servers, producer)]
        return rows + _latency(servers, producer)


def _make_environment() -> None:
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
        subprocess.run([str(PYTHON), "-m", "pip", "install", "--quiet", PEER, "asyncpg"], check=True)


def libpq_environment() -> dict[str, str]:
    """Return an environment in which libpq and asyncpg find the database of the benchmark."""
    names = {
        "HOST": "PGHOST",
        "PORT": "PGPORT",
        "USER": "PGUSER",
        "PASSWORD": "PGPASSWORD",
        "NAME": "PGDATABASE",
    }
    settings = connection.settings_dict
    return os.environ | {variable: str(settings[name]) for name, variable in names.items() if settings[name]}


@contextmanager
def _program(role: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [str(PYTHON), str(PROGRAM), role],
        env=libpq_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def _ask(producer: subprocess.Popen[str], action: str, count: int) -> float:
    """Return the seconds that the peer's producer took."""
    channels: Any = producer
    print(json.dumps([action, count]), file=channels.stdin, flush=True)
    return float(channels.stdout.readline())


def _single(producer: subprocess.Popen[str]) -> list[Row]:
    from tests.workload.jobs import noop

    here, there = [], []
    for _slice in range(SLICES):
        here.append(_seconds(noop.enqueue, PER_SLICE))
        there.append(_ask(producer, "enqueue", PER_SLICE))
    rates = (PER_SLICE / statistics.median(seconds) for seconds in (here, there))
    return _beside("enqueue one at a time", *rates, target=0.9, note=f"median of {SLICES} slices in turns")


def _bulk(producer: subprocess.Popen[str]) -> list[Row]:
    from tests.workload.jobs import noop

    here = _seconds(lambda: noop.enqueue_many({} for _ in range(BULK)), 1)
    there = _ask(producer, "bulk", BULK)
    return _beside("enqueue in bulk", BULK / here, BULK / there, target=1.0, note=f"{BULK:,} in one call")


def _drain(servers: BenchmarkServers, producer: subprocess.Popen[str]) -> list[Row]:
    here = bench_jobs_drain.run(servers)[0].value
    _empty()
    _ask(producer, "bulk", BULK)
    settle()
    with ExitStack() as workers:
        for _process in range(PROCESSES):
            workers.enter_context(_program("work"))
        wait_until(_is_done, "PgQueuer drains")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), extract(epoch FROM max(created) - min(created))"
            " FROM pgqueuer_log WHERE status = 'successful'"
        )
        count, seconds = cursor.fetchone()
    if count != BULK:
        raise RuntimeError(f"PgQueuer has run {count:,} of {BULK:,} jobs.")
    note = f"{BULK:,} no-op jobs, {PROCESSES} processes, first to last completion"
    return _beside("drain", here, count / float(seconds), target=1.6, note=note)


def _latency(servers: BenchmarkServers, producer: subprocess.Popen[str]) -> list[Row]:
    interval = bench_jobs_latency.INTERVAL_SECONDS
    environment = libpq_environment() | {"PYTHONPATH": os.pathsep.join(sys.path)}
    floor = latency_floor.measure(TIMED, interval, servers.services.redis_url, environment)
    here = {row.name: row.value for row in bench_jobs_latency.run(servers)}
    there = _delays_there(producer)
    p50, floor_p50 = here["enqueue to start, p50"], 1000 * percentile(floor, 0.5)
    return [
        Row(name="start, p50, here", value=p50, unit="ms", note=f"{1 / interval:.0f} jobs a second"),
        Row(
            name="start, p99, here", value=here["enqueue to start, p99"], unit="ms", target=5, at_least=False
        ),
        Row(name="start, p50, PgQueuer", value=1000 * percentile(there, 0.5), unit="ms"),
        Row(name="start, p99, PgQueuer", value=1000 * percentile(there, 0.99), unit="ms"),
        Row(
            name="start, p50, floor",
            value=floor_p50,
            unit="ms",
            note="INSERT, LPUSH, BRPOP, claim in plain programs",
        ),
        Row(name="start, p50, here / floor", value=p50 / floor_p50, unit="", target=1.35, at_least=False),
    ]


def _delays_there(producer: subprocess.Popen[str]) -> list[float]:
    """Return the seconds from each timed enqueue to its start in one of PgQueuer's workers."""
    delays: list[float] = []
    _empty()
    with _program("work") as one, _program("work") as other:
        for action, count in (("enqueue", WARM_UP), ("schedule", TIMED)):
            _ask(producer, action, count)
            wait_until(_is_done, "PgQueuer runs its jobs")
        for program in (one, other):
            program.terminate()
            delays += json.loads(program.communicate()[0])
    return delays


def _seconds(action: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        action()
    return time.perf_counter() - started


def _empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE pgqueuer, pgqueuer_log")
        cursor.execute("VACUUM ANALYZE pgqueuer")


def _is_done() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT NOT EXISTS (SELECT FROM pgqueuer)")
        return bool(cursor.fetchone()[0])


def _beside(name: str, here: float, there: float, *, target: float, note: str) -> list[Row]:
    return [
        Row(name=f"{name}, here", value=here, unit="1/s", note=note),
        Row(name=f"{name}, PgQueuer", value=there, unit="1/s"),
        Row(name=f"{name}, here / PgQueuer", value=here / there, unit="", target=target),
    ]
