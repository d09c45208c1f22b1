"""Foreign backlogs: what a claim and a look ahead cost behind 300,000 ready jobs that the pool may not take."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

from pleme_redis_django.jobs.interface.selection import JobSelection
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import NOOP, insert_ready_jobs, percentile, settle, start_afresh

FOREIGN = 300_000
CALLS = 60
# The first claims find out that the backlog is there.
FIRST_CALLS = 5
MOST_MILLISECONDS = 3.0


def run(servers: BenchmarkServers) -> list[Row]:
    known = frozenset({NOOP})
    return [
        *_measure(servers, "of another type", _of_another_type, JobSelection(job_types=known)),
        *_measure(servers, "of another product", _of_another_product, JobSelection(product="default")),
        *_measure(servers, "of a paused queue", _of_a_paused_queue, JobSelection(job_types=known)),
        *_measure(servers, "of a paused product", _of_a_paused_product, JobSelection(job_types=known)),
    ]


def _of_another_type() -> None:
    insert_ready_jobs(FOREIGN, job_type="tests.unknown")


def _of_another_product() -> None:
    insert_ready_jobs(FOREIGN, product="another")


def _of_a_paused_queue() -> None:
    from pleme_redis_django.operations import pause_queue

    insert_ready_jobs(FOREIGN, "paused")
    pause_queue("paused")


def _of_a_paused_product() -> None:
    from pleme_redis_django.operations import pause_queue

    insert_ready_jobs(FOREIGN, product="paused")
    pause_queue("default", product="paused")


def _measure(
    servers: BenchmarkServers, backlog: str, insert_backlog: Callable[[], None], selection: JobSelection
) -> list[Row]:
    from pleme_redis_django.models import Job
    from pleme_redis_django.orm_store import OrmJobStore

    start_afresh(servers)
    insert_backlog()
    settle()
    store, worker_id = OrmJobStore(Job), str(uuid4())

    def claim_nothing() -> None:
        if store.claim_jobs(worker_id, 10, selection):
            raise RuntimeError(f"A claim took jobs {backlog}.")

    def claim_one() -> None:
        insert_ready_jobs(1)
        started = time.perf_counter()
        claimed = store.claim_jobs(worker_id, 10, selection)
        found.append(1000 * (time.perf_counter() - started))
        missed.append(not claimed)

    found: list[float] = []
    missed: list[bool] = []
    empty = _milliseconds(claim_nothing)
    looks = _milliseconds(lambda: store.look_ahead(selection))
    for _ in range(CALLS):
        claim_one()
    if any(missed):
        raise RuntimeError(f"{sum(missed)} of {CALLS} claims beside jobs {backlog} missed a job.")
    return [
        _row(f"claim of nothing, backlog {backlog}", empty),
        _row(f"look ahead, backlog {backlog}", looks),
        _row(f"claim of one job, backlog {backlog}", percentile(found, 0.5)),
    ]


def _row(name: str, milliseconds: float) -> Row:
    return Row(name=name, value=milliseconds, unit="ms", target=MOST_MILLISECONDS, at_least=False)


def _milliseconds(call: Callable[[], object]) -> float:
    """Return the median of a call; what it costs to look at everything is bounded by its share of time."""
    for _ in range(FIRST_CALLS):
        call()
    taken = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - started))
    return percentile(taken, 0.5)
