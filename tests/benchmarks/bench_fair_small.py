"""Fair pools: how soon a small product's job starts behind 500,000 of a big one, and where its time goes.

The backlog is not drained: the workers end once the small jobs are measured, which begins when all are at work: the
first claims of a worker for slots that nothing is ready for read past the whole backlog. ``FAIR_BACKLOG=200000`` and
``FAIR_PROBES=300`` in the environment measure other cases.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from tests.benchmarks.fair_pools import make_fair_index, with_pool
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import (
    NOOP,
    insert_ready_jobs,
    percentile,
    settle,
    start_afresh,
    wait_until,
    worker_pids,
    worker_processes,
)

BACKLOG = int(os.environ.get("FAIR_BACKLOG", "500000"))
PROBES = int(os.environ.get("FAIR_PROBES", "200"))
PROBE_SECONDS = 0.05
# So many jobs of the big product have ended before the first probe.
UNDER_WAY = 5_000
GOAL_MS = 50
# What the big product's jobs do, and in how many processes. Those that do nothing take every core of a machine of two,
# so that whoever enqueues waits for one as well; one process leaves it some.
CASES = {
    "no-ops": (NOOP, 2),
    "no-ops of one process": (NOOP, 1),
    "jobs of 5 ms": ("tests.workload.waiting_jobs.wait_briefly", 2),
}


def run(servers: BenchmarkServers) -> list[Row]:
    make_fair_index()
    return [row for name, case in CASES.items() for row in _delays(servers, name, *case)]


def _delays(servers: BenchmarkServers, name: str, job_type: str, processes: int) -> Iterator[Row]:
    from pleme_redis_django.models import Job

    start_afresh(servers)
    insert_ready_jobs(BACKLOG, product="big", job_type=job_type)
    settle()
    with worker_processes(with_pool(servers, fair=True), "default", "--processes", str(processes)):
        wait_until(lambda: len(worker_pids()) == processes, "the workers register")
        ended = Job.objects.filter(status="COMPLETED")
        wait_until(lambda: ended[:UNDER_WAY].count() == UNDER_WAY, "the backlog is under way")
        calls = _enqueue_on_schedule()
        left = Job.objects.filter(product="big", status="QUEUED").count()
        small = Job.objects.filter(product="small")
        wait_until(lambda: small.filter(status="COMPLETED").count() == PROBES, "every small job ends")
    if not left:
        raise RuntimeError(f"No job of the big product was left at the end: {BACKLOG:,} are too few.")
    note = (
        f"{PROBES} jobs at {1 / PROBE_SECONDS:.0f}/s, behind {BACKLOG:,} {name}, of which {left:,} were left"
    )
    ended = small.values_list("id", "claimed_at", "results")
    stored, claimed, started = zip(*(_steps(*calls[job_id], *times) for job_id, *times in ended), strict=True)
    yield from _rows(name, [sum(steps) for steps in zip(stored, claimed, started, strict=True)], note)
    yield from _parts(name, {"stored": stored, "claimed": claimed, "started": started})


def _enqueue_on_schedule() -> dict[UUID, tuple[float, float]]:
    """Enqueue the small jobs; return when each call began and returned."""
    from tests.workload.jobs import measure_delay

    calls = {}
    begin = time.perf_counter()
    for number in range(PROBES):
        time.sleep(max(begin + number * PROBE_SECONDS - time.perf_counter(), 0))
        called = time.time()
        job = measure_delay.using(product="small").enqueue(sent_at=called)
        calls[job.id] = (called, time.time())
    return calls


def _steps(called: float, returned: float, claimed_at: datetime, delay: float) -> tuple[float, float, float]:
    """Return the ms until the job was stored and hinted at, from then until a claim took it, and until it started."""
    claimed = claimed_at.timestamp()
    return 1000 * (returned - called), 1000 * (claimed - returned), 1000 * (called + delay - claimed)


def _rows(name: str, delays: Sequence[float], note: str) -> Iterator[Row]:
    title = f"small product behind {name}"
    yield Row(name=f"{title}, p50", value=percentile(delays, 0.50), unit="ms", at_least=False, note=note)
    yield Row(name=f"{title}, p99", value=percentile(delays, 0.99), unit="ms", target=GOAL_MS, at_least=False)
    yield Row(name=f"{title}, max", value=max(delays), unit="ms", at_least=False)


def _parts(name: str, parts: Mapping[str, Sequence[float]]) -> Iterator[Row]:
    for part, times in parts.items():
        for share in (0.50, 0.99):
            title = f"  of which until {part}, {name}, p{100 * share:.0f}"
            yield Row(name=title, value=percentile(times, share), unit="ms", at_least=False)
