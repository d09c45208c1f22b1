"""Latency: from the call of enqueue to the first line of the handler, at 50 jobs a second."""

from __future__ import annotations

import time
from uuid import UUID

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
    with worker_processes(servers, "default", "--processes", str(PROCESSES)):
        wait_until(lambda: len(worker_pids()) == PROCESSES, "the workers register")
        for _ in range(WARM_UP):
            measure_delay.enqueue(sent_at=time.time())
            time.sleep(INTERVAL_SECONDS)
        wait_until(lambda: _completed() == WARM_UP, "the warm-up ends")
        time.sleep(IDLE_SECONDS)
        calls = _enqueue_on_schedule()
        wait_until(lambda: _completed() == WARM_UP + JOBS, "every job ends")
    seconds_of = dict(Job.objects.filter(id__in=calls).values_list("id", "results"))
    delays = [1000 * seconds for seconds in seconds_of.values()]
    waits = [1000 * (seconds - calls[job_id]) for job_id, seconds in seconds_of.items()]
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
        Row(
            name="stored to start, p50",
            value=percentile(waits, 0.50),
            unit="ms",
            note="from the return of enqueue(), whose commit is not the worker's",
        ),
        Row(name="stored to start, p99", value=percentile(waits, 0.99), unit="ms"),
    ]


def _enqueue_on_schedule() -> dict[UUID, float]:
    """Enqueue at absolute times, so that a slow call does not thin out the load; return what each call took."""
    from tests.workload.jobs import measure_delay

    seconds_of_call = {}
    begin = time.perf_counter()
    for number in range(JOBS):
        time.sleep(max(begin + number * INTERVAL_SECONDS - time.perf_counter(), 0))
        sent_at = time.time()
        job = measure_delay.enqueue(sent_at=sent_at)
        seconds_of_call[job.id] = time.time() - sent_at
    return seconds_of_call


def _completed() -> int:
    from pleme_redis_django.models import Job

    return Job.objects.filter(status="COMPLETED").count()
