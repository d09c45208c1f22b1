"""Rates: what share of a rate is reached, and a drain whose every job takes a token beside one without rates."""

from __future__ import annotations

from statistics import median

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import (
    NOOP,
    completion_rate,
    drain_cpu,
    insert_ready_jobs,
    settle,
    start_afresh,
    wait_until,
    worker_processes,
)

JOBS = 20_000
KEYS = 1_000
NEVER_REACHED = 1_000_000
SHARE_REACHED = 97.0
SHARE_WITH_TOKENS = 74.0
DRAINS = 3

_INSERT_SQL = """
INSERT INTO pleme_redis_django_job
  (id, product, job_type, queue_name, priority, parameters, max_retries, status, concurrency_key)
SELECT uuidv7(), 'default', %(type)s, 'default', 0, '{}', 3, 'QUEUED', 'customer:' || number %% %(keys)s
FROM generate_series(1, %(jobs)s) AS number
"""


def run(servers: BenchmarkServers) -> list[Row]:
    plain, with_tokens = _drains_in_turns(servers)
    fast, slow = _rate_reached(servers, 1_000, burst=100), _rate_reached(servers, 50, burst=5)
    start_afresh(servers)
    return [
        Row(name="drain, no rate", value=plain, unit="1/s", note=f"{JOBS:,} jobs, 2 processes"),
        Row(
            name="drain, each takes a token",
            value=100 * with_tokens / plain,
            unit="%",
            target=SHARE_WITH_TOKENS,
            note=f"{KEYS:,} keys, never empty",
        ),
        Row(name="of 1,000 a second reached", value=fast, unit="%", target=SHARE_REACHED, note="burst 100"),
        Row(name="of 50 a second reached", value=slow, unit="%", target=SHARE_REACHED, note="burst 5"),
    ]


def _drains_in_turns(servers: BenchmarkServers) -> tuple[float, float]:
    """Return the median rates without and with tokens, drained in turns: the machine's drift meets both alike."""
    plain, with_tokens = [], []
    for _ in range(DRAINS):
        plain.append(drain_cpu(servers, insert_ready_jobs, JOBS)[1])
        with_tokens.append(drain_cpu(servers, _insert_rated, JOBS)[1])
        _forget_limits()
    return median(plain), median(with_tokens)


def _insert_rated(count: int) -> None:
    _insert(count, KEYS, rate=NEVER_REACHED, burst=NEVER_REACHED)


def _rate_reached(servers: BenchmarkServers, rate: int, *, burst: int) -> float:
    """Return the starts a second of one key behind its burst, in percent of its rate, over some seconds."""
    jobs = burst + rate * 8
    start_afresh(servers)
    _insert(jobs, 1, rate=rate, burst=burst)
    settle()
    with worker_processes(servers, "--processes", "2"):
        wait_until(lambda: _completed() == jobs, "every job ends")
    _forget_limits()
    # The burst starts in no time; what comes after it, at the rate.
    return 100 * completion_rate(jobs) * (jobs - burst) / jobs / rate


def _insert(jobs: int, keys: int, *, rate: int, burst: int) -> None:
    from pleme_redis_django.operations import set_limit

    set_limit("key", "customer", rate=rate, burst=burst)
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_SQL, {"type": NOOP, "keys": keys, "jobs": jobs})


def _completed() -> int:
    from pleme_redis_django.models import Job

    return Job.objects.filter(status="COMPLETED").count()


def _forget_limits() -> None:
    from pleme_redis_django.models import FlowLimit

    FlowLimit.objects.all().delete()
