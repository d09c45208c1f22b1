"""Held snapshot: drain and claim while a long report keeps PostgreSQL from forgetting ended jobs."""

from __future__ import annotations

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.snapshots import held_snapshot
from tests.benchmarks.workers import (
    claim_times,
    drain_rate,
    insert_ready_jobs,
    percentile,
    start_afresh,
)

JOBS = 100_000
CLAIMS = 40
CLAIM_SIZE = 100


def run(servers: BenchmarkServers) -> list[Row]:
    start_afresh(servers)
    free_drain = drain_rate(servers, JOBS)
    free_claim = _claim_milliseconds()
    start_afresh(servers)
    with held_snapshot(servers):
        held_drain = drain_rate(servers, JOBS)
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
        Row(
            name=f"claim of {CLAIM_SIZE} behind one against none",
            value=100 * held_claim / free_claim,
            unit="%",
        ),
        Row(name=f"claim of {CLAIM_SIZE}, no snapshot", value=free_claim, unit="ms"),
        Row(
            name=f"claim of {CLAIM_SIZE} behind one",
            value=held_claim,
            unit="ms",
            note=f"after {JOBS:,} dead rows, one process, store alone",
        ),
    ]


def _claim_milliseconds() -> float:
    """Return the median time of one claim through the store, among rows that are ready."""
    insert_ready_jobs(CLAIMS * CLAIM_SIZE)
    return percentile(claim_times(CLAIMS, CLAIM_SIZE), 0.5)
