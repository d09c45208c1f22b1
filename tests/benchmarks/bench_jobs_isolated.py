"""Isolated jobs: the rate of no-op ones, each in a process of its worker's, beside ordinary ones."""

from __future__ import annotations

from statistics import median

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import completion_rate, run_burst, settle, start_afresh

JOBS = 1_000
ROUNDS = 2


def run(servers: BenchmarkServers) -> list[Row]:
    rates = [_drain(servers) for _ in range(ROUNDS)]
    note = f"{JOBS:,} no-op jobs, 1 process with 1 slot, median of {ROUNDS} rounds; its start is not counted"
    return [Row(name="drain of isolated jobs", value=median(rates), unit="1/s", note=note)]


def _drain(servers: BenchmarkServers) -> float:
    from tests.workload.jobs import noop

    start_afresh(servers)
    noop.using(isolated=True).enqueue_many({} for _ in range(JOBS))
    settle()
    run_burst(servers, "--processes", "1", "--worker-count", "1")
    return completion_rate(JOBS)
