"""Limits: what keys that are never full cost a drain, and what many jobs behind a full one cost the others.

Baseline and limited drains take turns, so that the machine's drift meets both alike. ``LIMITS_JOBS``,
``LIMITS_STUCK`` and ``LIMITS_DRAINS`` in the environment measure other cases.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import NOOP, drain_cpu, insert_ready_jobs, settle

JOBS = int(os.environ.get("LIMITS_JOBS", "20000"))
STUCK = int(os.environ.get("LIMITS_STUCK", "100000"))
DRAINS = int(os.environ.get("LIMITS_DRAINS", "3"))
KEYS, AT_ONCE, FULL_AT = 1_000, 10, 5
UNKEYED, KEYED, BESIDE = "no key", f"{KEYS:,} keys, limit {AT_ONCE}", f"{STUCK:,} behind a full limit"
KNOWN = "no key, limits of others known"
# Goals, in percent of the rate of a drain without limits.
GOALS = {KNOWN: 97.0, KEYED: 85.0, BESIDE: 95.0}

_ROWS_SQL = """
INSERT INTO pleme_redis_django_job
  (id, product, job_type, queue_name, priority, status, parameters, max_retries, concurrency_key, blocked_on, worker_id)
SELECT uuidv7(), 'default', %s, 'default', 0, %s, '{}', 3, %s || number %% %s, %s,
       CASE WHEN %s = 'RUNNING' THEN gen_random_uuid() END
FROM generate_series(1, %s) AS number
"""


def run(servers: BenchmarkServers) -> Iterator[Row]:
    cases: dict[str, Callable[[int], None]] = {
        UNKEYED: insert_ready_jobs,
        KNOWN: insert_ready_jobs,
        KEYED: _keyed,
        BESIDE: _beside_stuck,
    }
    rates: dict[str, list[float]] = {name: [] for name in cases}
    costs: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    for turn in range(DRAINS):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            with _limits(name):
                cost, rate = drain_cpu(servers, cases[name], JOBS)
            rates[name].append(rate)
            costs[name].append(cost)
    for name in names:
        note = f"{JOBS:,} no-op jobs, 2 processes; {min(rates[name]):,.0f} to {max(rates[name]):,.0f}"
        yield Row(name=f"drain, {name}", value=median(rates[name]), unit="1/s", note=note)
        yield Row(name=f"worker CPU, {name}", value=median(costs[name]), unit="us", note="a job")
    for name, goal in GOALS.items():
        share = 100 * median(rates[name]) / median(rates[UNKEYED])
        yield Row(name=f"drain, {name} of none", value=share, unit="%", target=goal)
        share = 100 * median(costs[name]) / median(costs[UNKEYED])
        yield Row(name=f"worker CPU, {name} of none", value=share, unit="%")


@contextmanager
def _limits(case: str) -> Iterator[None]:
    from pleme_redis_django.models import FlowLimit

    FlowLimit.objects.all().delete()
    numbers = {KNOWN: ("other", AT_ONCE), KEYED: ("customer", AT_ONCE), BESIDE: ("full", FULL_AT)}
    if case in numbers:
        name, number = numbers[case]
        FlowLimit.objects.create(
            job_model="pleme_redis_django.job", kind="key", name=name, max_running=number, source="admin"
        )
    try:
        yield
    finally:
        FlowLimit.objects.all().delete()


def _keyed(count: int) -> None:
    _insert(count, "QUEUED", "customer:", KEYS)


def _beside_stuck(count: int) -> None:
    _insert(FULL_AT, "RUNNING", "full:", 1)
    _insert(STUCK, "BLOCKED", "full:", 1, blocked_on="k:default:full:0")
    settle()
    insert_ready_jobs(count)


def _insert(count: int, status: str, prefix: str, keys: int, *, blocked_on: str | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ROWS_SQL, [NOOP, status, prefix, keys, blocked_on, status, count])
