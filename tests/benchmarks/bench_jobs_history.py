"""Finished history: drain and claim beside ended rows, against an empty table.

A million of them; ``BENCH_FINISHED_ROWS=10000000`` for ten, which takes some minutes to insert.
"""

from __future__ import annotations

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.sizes import size
from tests.benchmarks.workers import (
    claim_times,
    drain_rate,
    insert_finished_jobs,
    insert_ready_jobs,
    percentile,
    settle,
    start_afresh,
)

FINISHED = size("BENCH_FINISHED_ROWS", 1_000_000)
_FINISHED = f"{FINISHED / 1_000_000:g}M"
JOBS = 60_000
CLAIMS = 40
CLAIM_SIZE = 100
# What two drains of the same table differ by on a quiet machine; more than this is growth.
ACCEPTED_SHARE = 85


def run(servers: BenchmarkServers) -> list[Row]:
    start_afresh(servers)
    empty_drain, empty_claim = drain_rate(servers, JOBS), _claim_milliseconds()
    start_afresh(servers)
    insert_finished_jobs(FINISHED)
    settle()
    full_drain, full_claim = drain_rate(servers, JOBS), _claim_milliseconds()
    start_afresh(servers)
    return [
        Row(
            name=f"drain beside {_FINISHED} finished rows",
            value=full_drain,
            unit="1/s",
            note=f"empty: {empty_drain:,.0f}/s",
        ),
        Row(
            name=f"drain beside {_FINISHED} against empty",
            value=100 * full_drain / empty_drain,
            unit="%",
            target=ACCEPTED_SHARE,
        ),
        Row(
            name=f"claim of {CLAIM_SIZE} beside {_FINISHED} against empty",
            value=100 * full_claim / empty_claim,
            unit="%",
        ),
        Row(name=f"claim of {CLAIM_SIZE}, empty table", value=empty_claim, unit="ms"),
        Row(
            name=f"claim of {CLAIM_SIZE} beside {_FINISHED}",
            value=full_claim,
            unit="ms",
            note="one process, store alone",
        ),
    ]


def _claim_milliseconds() -> float:
    """Return the median time of one claim through the store, among rows that are ready."""
    insert_ready_jobs(CLAIMS * CLAIM_SIZE)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pleme_redis_django_job")
    return percentile(claim_times(CLAIMS, CLAIM_SIZE), 0.5)
