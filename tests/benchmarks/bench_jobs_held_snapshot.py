"""Held snapshot: drain and claim while a long report keeps PostgreSQL from forgetting ended jobs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import (
    completion_rate,
    insert_ready_jobs,
    percentile,
    run_burst,
    settle,
    start_afresh,
)

JOBS = 100_000
CLAIMS = 40
CLAIM_SIZE = 100


def run(servers: BenchmarkServers) -> list[Row]:
    start_afresh(servers)
    free_drain = _drain(servers)
    free_claim = _claim_milliseconds()
    start_afresh(servers)
    with _snapshot(servers):
        held_drain = _drain(servers)
        held_claim = _claim_milliseconds()
    start_afresh(servers)
    return [
        Row(
            name="drain behind a held snapshot",
            value=held_drain,
            unit="1/s",
            note=f"{JOBS:,} jobs; no snapshot: {free_drain:,.0f}/s",
        ),
        Row(
            name="held against none",
            value=100 * held_drain / free_drain,
            unit="%",
            target=95,
        ),
        Row(name=f"claim of {CLAIM_SIZE}, no snapshot", value=free_claim, unit="ms"),
        Row(
            name=f"claim of {CLAIM_SIZE} behind one",
            value=held_claim,
            unit="ms",
            note=f"after {JOBS:,} dead rows, one process, store alone",
        ),
    ]


@contextmanager
def _snapshot(servers: BenchmarkServers) -> Iterator[None]:
    """Hold a snapshot, as a long report or a dump does."""
    with psycopg.connect(servers.environment["DATABASE_URL"]) as report:
        report.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        report.execute("SELECT count(*) FROM pleme_redis_django_job")
        yield


def _drain(servers: BenchmarkServers) -> float:
    insert_ready_jobs(JOBS)
    settle()
    run_burst(servers, "--processes", "2")
    return completion_rate(JOBS)


def _claim_milliseconds() -> float:
    """Return the median time of one claim through the store, after the drain."""
    from pleme_redis_django.jobs.store import JobSelection
    from pleme_redis_django.models import Job
    from pleme_redis_django.orm_store import OrmJobStore

    insert_ready_jobs(CLAIMS * CLAIM_SIZE)
    store, worker_id, everything = OrmJobStore(Job), str(uuid.uuid4()), JobSelection()
    times = []
    for _ in range(CLAIMS):
        started = time.perf_counter()
        if len(store.claim_jobs(worker_id, CLAIM_SIZE, everything)) != CLAIM_SIZE:
            raise RuntimeError("A claim returned fewer jobs than there are.")
        times.append(time.perf_counter() - started)
    return 1000 * percentile(times, 0.5)
