"""Strict order: a drain of jobs with order keys beside one of jobs without, in the same round."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import NOOP, completion_rate, insert_ready_jobs, run_burst, settle, start_afresh

JOBS = 20_000
KEYS = 1_000

_INSERT_SQL = """
INSERT INTO pleme_redis_django_job
  (id, product, job_type, queue_name, priority, parameters, max_retries, order_key, status, blocked_on)
SELECT uuidv7(), 'default', %(type)s, 'default', 0, '{}', 3, 'order:' || number %% %(keys)s,
       CASE WHEN number < %(keys)s THEN 'QUEUED' ELSE 'BLOCKED' END,
       CASE WHEN number >= %(keys)s THEN 'o:default:order:' || number %% %(keys)s END
FROM generate_series(0, %(jobs)s - 1) AS number
"""


def run(servers: BenchmarkServers) -> list[Row]:
    plain = _rate(servers, lambda: insert_ready_jobs(JOBS))
    alone = _rate(servers, lambda: _insert_in_lines(JOBS))
    in_lines = _rate(servers, lambda: _insert_in_lines(KEYS))
    start_afresh(servers)
    return [
        Row(name="drain, no order key", value=plain, unit="1/s", note=f"{JOBS:,} jobs, 2 processes"),
        Row(name="drain, each with an order key of its own", value=100 * alone / plain, unit="%"),
        Row(
            name="drain in strict order",
            value=100 * in_lines / plain,
            unit="%",
            note=f"{KEYS:,} keys of {JOBS // KEYS}",
        ),
    ]


def _insert_in_lines(keys: int) -> None:
    """Insert jobs of so many order keys: the first of each has its turn, the others wait."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_SQL, {"type": NOOP, "keys": keys, "jobs": JOBS})


def _rate(servers: BenchmarkServers, insert: Callable[[], None]) -> float:
    start_afresh(servers)
    insert()
    settle()
    run_burst(servers, "--processes", "2")
    return completion_rate(JOBS)
