"""Latency: from the call of enqueue to the first line of the handler, at 50 jobs a second."""

from __future__ import annotations

import time

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import percentile, start_afresh, wait_until, worker_pids, worker_processes

JOBS = 500
WARM_UP = 20
INTERVAL_SECONDS = 0.02
IDLE_SECONDS = 1.5
PROCESSES = 2


def run(servers: BenchmarkServers) -> list[Row]:
    from pleme_redis_django.models import Job
    from tests.workload.jobs import measure_delay

    start_afresh(servers)
    with worker_processes(servers, "--processes", str(PROCESSES)):
        wait_until(lambda: len(worker_pids()) == PROCESSES, "the workers register")
        for _ in range(WARM_UP):
            measure_delay.enqueue(time.time())
            time.sleep(INTERVAL_SECONDS)
        wait_until(lambda: _completed() == WARM_UP, "the warm-up ends")
        time.sleep(IDLE_SECONDS)
        ids = _enqueue_on_schedule()
        wait_until(lambda: _completed() == WARM_UP + JOBS, "every job ends")
    delays = [1000 * seconds for seconds in Job.objects.filter(id__in=ids).values_list("results", flat=True)]
    note = f"{JOBS} jobs at {1 / INTERVAL_SECONDS:.0f}/s, {PROCESSES} processes"
    return [
        Row(
            name="enqueue to start, p50",
            value=percentile(delays, 0.50),
            unit="ms",
            target=4,
            at_least=False,
            note=note,
        ),
        Row(name="enqueue to start, p95", value=percentile(delays, 0.95), unit="ms"),
        Row(
            name="enqueue to start, p99", value=percentile(delays, 0.99), unit="ms", target=15, at_least=False
        ),
        Row(name="enqueue to start, worst", value=max(delays), unit="ms"),
    ]


def _enqueue_on_schedule() -> list[object]:
    """Enqueue at absolute times, so that a slow enqueue does not thin out the load."""
    from tests.workload.jobs import measure_delay

    ids = []
    begin = time.perf_counter()
    for number in range(JOBS):
        time.sleep(max(begin + number * INTERVAL_SECONDS - time.perf_counter(), 0))
        ids.append(measure_delay.enqueue(time.time()).id)
    return ids


def _completed() -> int:
    from pleme_redis_django.models import Job

    return Job.objects.filter(status="COMPLETED").count()
