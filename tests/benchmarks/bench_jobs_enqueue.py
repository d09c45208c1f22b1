"""Enqueue: one job at a time beside a bare ``Model.objects.create``, and 20,000 at once."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import start_afresh

SINGLE = 2_000
WARM_UP = 100
SLICE = 100
BULK = 20_000


def run(servers: BenchmarkServers) -> list[Row]:
    from tests.workload.jobs import noop

    start_afresh(servers)
    enqueue_rate, bare_rate = _side_by_side(noop.enqueue, _create_bare)
    start_afresh(servers)
    started = time.perf_counter()
    noop.enqueue_many({} for _ in range(BULK))
    bulk_rate = BULK / (time.perf_counter() - started)
    return [
        Row(name="enqueue one at a time", value=enqueue_rate, unit="1/s", note="row, then Redis hint"),
        Row(name="bare Model.objects.create", value=bare_rate, unit="1/s", note="same model, no hint"),
        Row(
            name="enqueue against bare create",
            value=100 * enqueue_rate / bare_rate,
            unit="%",
            target=80,
            note="taken in turns",
        ),
        Row(
            name="enqueue in bulk",
            value=bulk_rate,
            unit="1/s",
            target=20_000,
            note=f"{BULK:,} jobs in one call",
        ),
    ]


def _create_bare() -> None:
    from pleme_redis_django.models import Job

    Job.objects.create(product="default", job_type="tests.workload.jobs.noop", parameters={})


def _side_by_side(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Return both rates, measured in alternating slices: the machine's drift meets both alike."""
    for action in (first, second):
        _seconds(action, WARM_UP)
    seconds = [0.0, 0.0]
    for _slice in range(SINGLE // SLICE):
        for index, action in enumerate((first, second)):
            seconds[index] += _seconds(action, SLICE)
    return SINGLE / seconds[0], SINGLE / seconds[1]


def _seconds(action: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        action()
    return time.perf_counter() - started
