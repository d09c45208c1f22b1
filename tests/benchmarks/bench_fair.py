"""Fair pools: what sharing costs with few and many products, and how soon a small one starts behind a big one.

``FAIR_PRODUCTS=1,100``, ``FAIR_JOBS=300000`` and ``FAIR_BACKLOG=200000`` in the environment measure other cases.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import time
from collections.abc import Iterator
from statistics import median

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import (
    NOOP,
    drain_cpu,
    insert_ready_jobs,
    percentile,
    settle,
    start_afresh,
    wait_until,
    worker_pids,
    worker_processes,
)

PRODUCTS = [int(number) for number in os.environ.get("FAIR_PRODUCTS", "1,100,1000,10000").split(",")]
JOBS = int(os.environ.get("FAIR_JOBS", "40000"))
BACKLOG = int(os.environ.get("FAIR_BACKLOG", "500000"))
DRAINS = int(os.environ.get("FAIR_DRAINS", "3"))
PROBES = 100
PROBE_SECONDS = 0.05
# Goals, in percent of the rate of a pool that is not fair.
GOALS = {1: 97.0, 1_000: 85.0, 10_000: 75.0}


def run(servers: BenchmarkServers) -> list[Row]:
    from pleme_redis_django.models import Job
    from pleme_redis_django.orm_store.fairness.index import FairIndex

    FairIndex(model=Job, using="default", by_queue=False).make()
    return [*(row for products in PRODUCTS for row in _ratios(servers, products)), *_delays(servers)]


def _ratios(servers: BenchmarkServers, products: int) -> Iterator[Row]:
    """Drain the same jobs fairly and not, in turns, so that the machine's drift meets both alike."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    costs: dict[bool, list[float]] = {True: [], False: []}
    insert = functools.partial(_insert, products=products)
    for turn in range(2 * DRAINS):
        fair = turn % 4 in (1, 2)
        cost, rate = drain_cpu(_with_pool(servers, fair=fair), insert, JOBS)
        rates[fair].append(rate)
        costs[fair].append(cost)
    note = f"{median(rates[True]):,.0f} of {median(rates[False]):,.0f} jobs/s, {JOBS:,} jobs"
    share = 100 * median(rates[True]) / median(rates[False])
    yield Row(
        name=f"fair of not, {products:,} products",
        value=share,
        unit="%",
        target=GOALS.get(products),
        note=note,
    )
    note = f"{median(costs[True]):.1f} of {median(costs[False]):.1f} us a job"
    share = 100 * median(costs[True]) / median(costs[False])
    yield Row(name=f"worker CPU, {products:,} products", value=share, unit="%", at_least=False, note=note)


def _delays(servers: BenchmarkServers) -> Iterator[Row]:
    from pleme_redis_django.models import Job
    from tests.workload.jobs import measure_delay

    start_afresh(servers)
    insert_ready_jobs(BACKLOG, product="big")
    settle()
    with worker_processes(_with_pool(servers, fair=True), "default", "--processes", "2"):
        wait_until(lambda: len(worker_pids()) == 2, "the workers register")
        wait_until(lambda: Job.objects.filter(status="COMPLETED").exists(), "the backlog is under way")
        begin = time.perf_counter()
        for number in range(PROBES):
            time.sleep(max(begin + number * PROBE_SECONDS - time.perf_counter(), 0))
            measure_delay.using(product="small").enqueue(sent_at=time.time())
        left = Job.objects.filter(product="big", status="QUEUED").count()
        small = Job.objects.filter(product="small")
        wait_until(lambda: small.filter(status="COMPLETED").count() == PROBES, "every small job ends")
    delays = [1000 * seconds for seconds in small.values_list("results", flat=True)]
    note = f"{PROBES} jobs at 20/s, behind {BACKLOG:,} of another product, of which {left:,} were left"
    yield Row(name="small product, p50", value=percentile(delays, 0.50), unit="ms", at_least=False, note=note)
    yield Row(name="small product, p95", value=percentile(delays, 0.95), unit="ms", at_least=False)
    yield Row(name="small product, p99", value=percentile(delays, 0.99), unit="ms", target=50, at_least=False)
    yield Row(name="small product, max", value=max(delays), unit="ms", at_least=False)


def _insert(count: int, *, products: int) -> None:
    """Insert ready no-op jobs whose products follow each other in time; one is that of the jobs that wake workers."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pleme_redis_django_job"
            " (id, product, job_type, queue_name, priority, status, parameters, max_retries)"
            " SELECT uuidv7(), CASE number %% %s WHEN 0 THEN 'default' ELSE 'p' || number %% %s END,"
            " %s, 'default', 0, 'QUEUED', '{}', 3 FROM generate_series(1, %s) AS number",
            [products, products, NOOP, count],
        )


def _with_pool(servers: BenchmarkServers, *, fair: bool) -> BenchmarkServers:
    overrides = json.loads(servers.environment.get("PLEME_REDIS_OVERRIDES", "{}"))
    overrides |= {"POOLS": {"default": {"fair": fair}}}
    environment = {**servers.environment, "PLEME_REDIS_OVERRIDES": json.dumps(overrides)}
    return dataclasses.replace(servers, environment=environment)
