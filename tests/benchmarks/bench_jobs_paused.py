"""Paused queues: claims and a drain of other queues behind 300,000 ready jobs that wait for a resume."""

from __future__ import annotations

from collections.abc import Callable

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import (
    claim_times,
    drain_rate,
    insert_ready_jobs,
    percentile,
    settle,
    start_afresh,
)

PAUSED = 300_000
JOBS = 20_000
QUEUES = 20
CLAIMS = 60
CLAIM_SIZE = 100


def run(servers: BenchmarkServers) -> list[Row]:
    free_claim, free_drain = _measure(servers, lambda: None)
    queue_claim, queue_drain = _measure(servers, _pause_a_queue)
    product_claim, product_drain = _measure(servers, _pause_a_product)
    start_afresh(servers)
    return [
        Row(name=f"claim of {CLAIM_SIZE}, no pause", value=free_claim, unit="ms", note=f"{QUEUES} queues"),
        Row(name=f"claim of {CLAIM_SIZE} beside a paused queue", value=queue_claim, unit="ms"),
        Row(name=f"claim of {CLAIM_SIZE} beside a paused product", value=product_claim, unit="ms"),
        Row(
            name="claim beside a paused queue against none",
            value=100 * queue_claim / free_claim,
            unit="%",
        ),
        Row(
            name="claim beside a paused product against none",
            value=100 * product_claim / free_claim,
            unit="%",
        ),
        Row(name="drain, no pause", value=free_drain, unit="1/s", note=f"{JOBS:,} jobs, 2 processes"),
        Row(
            name="drain beside a paused queue",
            value=100 * queue_drain / free_drain,
            unit="%",
            target=60,
            note=f"{PAUSED:,} of its jobs are ready",
        ),
        Row(name="drain beside a paused product", value=100 * product_drain / free_drain, unit="%"),
    ]


def _pause_a_queue() -> None:
    from pleme_redis_django.operations import pause_queue

    insert_ready_jobs(PAUSED, "paused")
    pause_queue("paused")


def _pause_a_product() -> None:
    """Pause one product's jobs in a queue whose other jobs go on."""
    from pleme_redis_django.operations import pause_queue

    insert_ready_jobs(PAUSED, "default", product="paused")
    pause_queue("default", product="paused")


def _measure(servers: BenchmarkServers, prepare: Callable[[], None]) -> tuple[float, float]:
    """Return the milliseconds of a claim from many queues, and the rate of a drain of one."""
    start_afresh(servers)
    prepare()
    for number in range(QUEUES):
        insert_ready_jobs(CLAIMS * CLAIM_SIZE // QUEUES, f"queue-{number}")
    settle()
    # The lower quartile: neighbours only ever add to a claim.
    claim_milliseconds = percentile(claim_times(CLAIMS, CLAIM_SIZE), 0.25)
    start_afresh(servers)
    prepare()
    return claim_milliseconds, drain_rate(servers, JOBS)
