"""Where the latency goes: its steps beside those of the raw floor, in turns, at the median and the 99th percentile."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection

from tests.benchmarks.bench_peers import libpq_environment
from tests.benchmarks.latency_floor import FloorTimes, floor
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.stamps.claims import FOLDER_VARIABLE, ClaimTimes, read
from tests.benchmarks.stamps.enqueues import EnqueueStamps, EnqueueTimes
from tests.benchmarks.workers import percentile, start_afresh, wait_until, worker_pids, worker_processes

SLICES, PER_SLICE = 10, 50
WARM_UP = 50
INTERVAL_SECONDS = 0.02
PROCESSES = 2
PAUSE_SECONDS = 1.0

Steps = dict[str, list[float]]


def run(servers: BenchmarkServers) -> list[Row]:
    from tests.workload.jobs import measure_delay

    start_afresh(servers)
    environment = libpq_environment() | {"PYTHONPATH": os.pathsep.join(sys.path)}
    stamps, disk = EnqueueStamps(), _Disk()
    with (
        tempfile.TemporaryDirectory(prefix="pleme-stamps-") as folder,
        worker_processes(_stamped(servers, folder), "default", "--processes", str(PROCESSES)),
        floor(servers.services.redis_url, environment) as program,
        stamps.taken(),
    ):
        wait_until(lambda: len(worker_pids()) == PROCESSES, "the workers register")
        for _slice in range(SLICES):
            _on_schedule(lambda: stamps.enqueue(measure_delay.enqueue))
            _on_schedule(program.enqueue)
            _on_schedule(disk.insert)
        raw = program.end()
        wait_until(lambda: _completed() == len(stamps.times), "every job ends")
        claims = dict(read(Path(folder)))
    timed = list(stamps.times)[WARM_UP:]
    here = _steps_here([(stamps.times[job_id], claims[job_id]) for job_id in timed], _starts(timed))
    there = _steps_of_the_floor(raw[WARM_UP:])
    return [*_rows(here, there), *disk.rows()]


def _stamped(servers: BenchmarkServers, folder: str) -> BenchmarkServers:
    variables = {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.stamps.settings", FOLDER_VARIABLE: folder}
    return dataclasses.replace(servers, environment={**servers.environment, **variables})


def _on_schedule(action: Callable[[], object]) -> None:
    time.sleep(PAUSE_SECONDS)
    begin = time.perf_counter()
    for number in range(PER_SLICE):
        time.sleep(max(begin + number * INTERVAL_SECONDS - time.perf_counter(), 0))
        action()


def _completed() -> int:
    from pleme_redis_django.models import Job

    return Job.objects.filter(status="COMPLETED").count()


def _starts(job_ids: Sequence[UUID]) -> list[float]:
    """Return when the handlers of these jobs began."""
    from pleme_redis_django.models import Job

    rows = Job.objects.filter(id__in=job_ids).values_list("id", "parameters", "results")
    starts = {job_id: parameters["sent_at"] + delay for job_id, parameters, delay in rows}
    return [starts[job_id] for job_id in job_ids]


def _steps_here(jobs: Sequence[tuple[EnqueueTimes, ClaimTimes]], starts: Sequence[float]) -> Steps:
    steps: Steps = {}
    for (enqueue, claim), start in zip(jobs, starts, strict=True):
        for name, begin, end in (
            ("call to INSERT", enqueue.called_at, enqueue.insert_sent_at),
            ("INSERT", enqueue.insert_sent_at, enqueue.stored_at),
            ("stored to push", enqueue.stored_at, enqueue.push_sent_at),
            ("push to hint", enqueue.push_sent_at, claim.heard_at),
            ("hint to claim", claim.heard_at, claim.sent_at),
            ("claim", claim.sent_at, claim.answered_at),
            ("claim to handler", claim.answered_at, start),
            ("all", enqueue.called_at, start),
        ):
            steps.setdefault(name, []).append(1000 * (end - begin))
    return steps


def _steps_of_the_floor(jobs: Sequence[FloorTimes]) -> Steps:
    return {
        "INSERT": [1000 * (job.stored_at - job.sent_at) for job in jobs],
        "push to hint": [1000 * (job.heard_at - job.stored_at) for job in jobs],
        "claim": [1000 * (job.claimed_at - job.heard_at) for job in jobs],
        "all": [1000 * (job.claimed_at - job.sent_at) for job in jobs],
    }


def _rows(here: Steps, there: Steps) -> Iterator[Row]:
    for name, values in here.items():
        for share in (0.5, 0.99):
            yield _row(f"{name}, p{100 * share:.0f}", values, share)
            if name in there:
                yield _row(f"{name}, p{100 * share:.0f}, floor", there[name], share)
    ratio = percentile(here["all"], 0.5) / percentile(there["all"], 0.5)
    yield Row(name="all, p50, here / floor", value=ratio, unit="", target=1.35, at_least=False)


def _row(name: str, milliseconds: Sequence[float], share: float) -> Row:
    return Row(name=name, value=percentile(milliseconds, share), unit="ms")


class _Disk:
    """The same INSERT as the floor's, without waiting for the disk."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection[Any] | None = None
        self._milliseconds: list[float] = []

    def insert(self) -> None:
        if self._connection is None:
            self._connection = psycopg.connect(**connection.get_connection_params(), autocommit=True)
            self._connection.execute("CREATE TABLE IF NOT EXISTS latency_disk (sent_at float8)")
            self._connection.execute("SET synchronous_commit = off")
        began = time.time()
        self._connection.execute("INSERT INTO latency_disk VALUES (%s)", (began,), prepare=True)
        self._milliseconds.append(1000 * (time.time() - began))

    def rows(self) -> Iterator[Row]:
        if self._connection is not None:
            self._connection.execute("DROP TABLE latency_disk")
            self._connection.close()
        for share in (0.5, 0.99):
            yield _row(
                f"INSERT that waits for no disk, p{100 * share:.0f}", self._milliseconds[WARM_UP:], share
            )
