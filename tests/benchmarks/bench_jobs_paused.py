"""Paused queues: claims and a drain of other queues behind 300,000 ready jobs that wait for a resume."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

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
    claim_milliseconds = _claim_milliseconds()
    start_afresh(servers)
    prepare()
    insert_ready_jobs(JOBS)
    settle()
    run_burst(servers, "--processes", "2")
    return claim_milliseconds, completion_rate(JOBS)


def _claim_milliseconds() -> float:
    """Return the lower quartile of what a claim through the store takes: neighbours only ever add to it."""
    from pleme_redis_django.jobs.store import JobSelection
    from pleme_redis_django.models import Job
    from pleme_redis_django.orm_store import OrmJobStore

    store, worker_id, everything = OrmJobStore(Job), str(uuid.uuid4()), JobSelection()
    store.look_ahead(everything)
    seconds: list[float] = []
    for _ in range(CLAIMS):
        started = time.perf_counter()
        claimed = store.claim_jobs(worker_id, CLAIM_SIZE, everything)
        seconds.append(time.perf_counter() - started)
        if len(claimed) != CLAIM_SIZE:
            raise RuntimeError(f"A claim returned {len(claimed)} jobs, and {CLAIM_SIZE} are there.")
    return 1000 * percentile(seconds, 0.25)
