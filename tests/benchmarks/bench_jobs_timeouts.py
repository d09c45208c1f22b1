"""Timeouts: what ``timeout=`` on every job costs a drain, and rounds of both in turns."""

from __future__ import annotations

from statistics import median

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import completion_rate, run_burst, settle, start_afresh

JOBS = 10_000
ROUNDS = 3
# Longer than any of the jobs runs: the timer is set for each of them, and goes off for none.
TIMEOUT_SECONDS = 60.0


def run(servers: BenchmarkServers) -> list[Row]:
    rates: dict[str, list[float]] = {"without a timeout": [], "with a timeout": []}
    for _ in range(ROUNDS):
        rates["without a timeout"].append(_drain(servers, None))
        rates["with a timeout"].append(_drain(servers, TIMEOUT_SECONDS))
    plain, timed = (median(found) for found in rates.values())
    note = f"{JOBS:,} no-op jobs, 2 processes, median of {ROUNDS} rounds in turns"
    rows = [
        Row(name=f"drain {name}", value=median(found), unit="1/s", note=note) for name, found in rates.items()
    ]
    share = Row(
        name="rate with timeouts", value=100 * timed / plain, unit="%", target=95, note="of that without"
    )
    return [*rows, share]


def _drain(servers: BenchmarkServers, timeout: float | None) -> float:
    from tests.workload.jobs import noop

    start_afresh(servers)
    noop.using(timeout=timeout).enqueue_many({} for _ in range(JOBS))
    settle()
    run_burst(servers, "--processes", "2")
    return completion_rate(JOBS)
