"""Limits: what keys that are never full cost a drain, and what many jobs behind a full one cost the others.

Each drain with limits stands between two without, and is compared with these: on a shared machine two drains that are
far apart differ by a third. ``LIMITS_JOBS``, ``LIMITS_STUCK`` and ``LIMITS_DRAINS`` in the environment measure other
cases.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import mean, median

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import NOOP, drain_cpu, insert_ready_jobs, settle

JOBS = int(os.environ.get("LIMITS_JOBS", "20000"))
STUCK = int(os.environ.get("LIMITS_STUCK", "100000"))
DRAINS = int(os.environ.get("LIMITS_DRAINS", "5"))
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
    cases: dict[str, Callable[[int], None]] = {KNOWN: insert_ready_jobs, KEYED: _keyed, BESIDE: _beside_stuck}
    drained: dict[str, list[tuple[float, float]]] = {name: [] for name in (UNKEYED, *cases)}
    shares: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    before = _drain(servers, UNKEYED, insert_ready_jobs)
    for _ in range(DRAINS):
        for name, insert in cases.items():
            limited, after = _drain(servers, name, insert), _drain(servers, UNKEYED, insert_ready_jobs)
            cost, rate = (mean(pair) for pair in zip(before, after, strict=True))
            shares[name].append((100 * limited[0] / cost, 100 * limited[1] / rate))
            drained[name].append(limited)
            drained[UNKEYED].append(after)
            before = after
    for name, figures in drained.items():
        costs, rates = zip(*figures, strict=True)
        note = f"{JOBS:,} no-op jobs, 2 processes; {min(rates):,.0f} to {max(rates):,.0f}"
        yield Row(name=f"drain, {name}", value=median(rates), unit="1/s", note=note)
        yield Row(name=f"worker CPU, {name}", value=median(costs), unit="us", note="a job")
    for name, goal in GOALS.items():
        costs, rates = zip(*shares[name], strict=True)
        yield Row(
            name=f"drain, {name} of none", value=median(rates), unit="%", target=goal, note=_each(rates)
        )
        yield Row(name=f"worker CPU, {name} of none", value=median(costs), unit="%", note=_each(costs))


def _drain(servers: BenchmarkServers, case: str, insert: Callable[[int], None]) -> tuple[float, float]:
    with _limits(case):
        return drain_cpu(servers, insert, JOBS)


def _each(shares: Sequence[float]) -> str:
    return ", ".join(f"{share:.0f}" for share in sorted(shares))


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
