"""Many products: claims and a drain of the same number of jobs, of one product and of a thousand."""

from __future__ import annotations

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.sizes import size
from tests.benchmarks.workers import (
    claim_times,
    completion_rate,
    insert_ready_jobs,
    percentile,
    run_burst,
    settle,
    start_afresh,
)

PRODUCTS = size("BENCH_PRODUCTS", 1_000)
JOBS = 20_000
CLAIMS = 60
CLAIM_SIZE = 100


def run(servers: BenchmarkServers) -> list[Row]:
    one_claim, one_drain = _measure(servers, 1)
    many_claim, many_drain = _measure(servers, PRODUCTS)
    start_afresh(servers)
    return [
        Row(
            name=f"drain of {PRODUCTS:,} products against one",
            value=100 * many_drain / one_drain,
            unit="%",
            target=90,
            note=f"{many_drain:,.0f}/s and {one_drain:,.0f}/s, {JOBS:,} jobs, 2 processes",
        ),
        Row(
            name=f"claim of {CLAIM_SIZE} from {PRODUCTS:,} products against one",
            value=100 * many_claim / one_claim,
            unit="%",
            target=120,
            at_least=False,
            note=f"{many_claim:.2f} ms and {one_claim:.2f} ms, one process, store alone",
        ),
    ]


def _measure(servers: BenchmarkServers, products: int) -> tuple[float, float]:
    """Return the milliseconds of a claim, and the rate of a drain."""
    start_afresh(servers)
    insert_ready_jobs(CLAIMS * CLAIM_SIZE, products=products)
    settle()
    claim_milliseconds = percentile(claim_times(CLAIMS, CLAIM_SIZE), 0.25)
    start_afresh(servers)
    insert_ready_jobs(JOBS, products=products)
    settle()
    run_burst(servers, "--processes", "2")
    return claim_milliseconds, completion_rate(JOBS)
