"""Finished history: drain and claim beside a million ended rows, against an empty table."""

from __future__ import annotations

import time
import uuid

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import (
    completion_rate,
    insert_finished_jobs,
    insert_ready_jobs,
    run_burst,
    settle,
    start_afresh,
)

FINISHED = 1_000_000
JOBS = 20_000
CLAIMS = 40
CLAIM_SIZE = 100
# What two drains of the same table differ by on a quiet machine; more than this is growth.
ACCEPTED_SHARE = 85


def run(servers: BenchmarkServers) -> list[Row]:
    start_afresh(servers)
    empty_drain, empty_claim = _drain(servers), _claim_milliseconds()
    start_afresh(servers)
    insert_finished_jobs(FINISHED)
    settle()
    full_drain, full_claim = _drain(servers), _claim_milliseconds()
    start_afresh(servers)
    return [
        Row(
            name="drain beside 1M finished rows",
            value=full_drain,
            unit="1/s",
            note=f"empty: {empty_drain:,.0f}/s",
        ),
        Row(
            name="drain beside 1M against empty",
            value=100 * full_drain / empty_drain,
            unit="%",
            target=ACCEPTED_SHARE,
        ),
        Row(name=f"claim of {CLAIM_SIZE}, empty table", value=empty_claim, unit="ms"),
        Row(
            name=f"claim of {CLAIM_SIZE} beside 1M",
            value=full_claim,
            unit="ms",
            note="one process, store alone",
        ),
    ]


def _drain(servers: BenchmarkServers) -> float:
    insert_ready_jobs(JOBS)
    settle()
    run_burst(servers, "--processes", "2")
    return completion_rate(JOBS)


def _claim_milliseconds() -> float:
    """Return the mean time of one claim through the store, in a table of ready rows."""
    from pleme_redis_django.jobs.store import JobSelection
    from pleme_redis_django.models import Job
    from pleme_redis_django.orm_store import OrmJobStore

    insert_ready_jobs(CLAIMS * CLAIM_SIZE)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pleme_redis_django_job")
    store, worker_id, everything = OrmJobStore(Job), str(uuid.uuid4()), JobSelection()
    started = time.perf_counter()
    for _ in range(CLAIMS):
        if len(store.claim_jobs(worker_id, CLAIM_SIZE, everything)) != CLAIM_SIZE:
            raise RuntimeError("A claim returned fewer jobs than there are.")
    return 1000 * (time.perf_counter() - started) / CLAIMS
