"""Fair pools: what sharing costs with few and many products.

``FAIR_PRODUCTS=1,100``, ``FAIR_JOBS=300000`` and ``FAIR_DRAINS=1`` in the environment measure other cases.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from statistics import median

from django.db import connection

from tests.benchmarks.fair_pools import make_fair_index, with_pool
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import NOOP, drain_cpu

PRODUCTS = [int(number) for number in os.environ.get("FAIR_PRODUCTS", "1,100,1000,10000").split(",")]
JOBS = int(os.environ.get("FAIR_JOBS", "100000"))
DRAINS = int(os.environ.get("FAIR_DRAINS", "3"))
# Goals, in percent of the rate of a pool that is not fair.
GOALS = {1: 97.0, 1_000: 85.0, 10_000: 75.0}


def run(servers: BenchmarkServers) -> list[Row]:
    make_fair_index()
    return [row for products in PRODUCTS for row in _ratios(servers, products)]


def _ratios(servers: BenchmarkServers, products: int) -> Iterator[Row]:
    """Drain the same jobs fairly and not, in turns, so that the machine's drift meets both alike."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    costs: dict[bool, list[float]] = {True: [], False: []}
    insert = functools.partial(_insert, products=products)
    for turn in range(2 * DRAINS):
        fair = turn % 4 in (1, 2)
        cost, rate = drain_cpu(with_pool(servers, fair=fair), insert, JOBS)
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
