"""Retention: a million old rows are pruned beside a drain at half load."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import NOOP, settle, start_afresh, wait_until, worker_pids, worker_processes

OLD = 1_000_000
# About half of what two processes drain here.
JOBS_A_SECOND, BATCHES_A_SECOND = 12_000, 10
SECONDS = 15.0


def run(servers: BenchmarkServers) -> list[Row]:
    start_afresh(servers)
    _insert_old_jobs(OLD)
    settle()
    with worker_processes(servers, "--processes", "2"):
        wait_until(lambda: len(worker_pids()) == 2, "the workers register")
        _offer(1.0)
        alone_rate, alone_p99 = _offer(SECONDS)
        with ExitStack() as stack:
            pruning = _Pruning()
            stack.callback(pruning.stop)
            rate, p99 = _offer(SECONDS)
    deleted = pruning.deleted
    start_afresh(servers)
    return [
        Row(
            name="drain at half load beside pruning",
            value=100 * rate / alone_rate,
            unit="%",
            target=90,
            note=f"{rate:,.0f} and {alone_rate:,.0f}/s without, {OLD:,} old rows",
        ),
        Row(
            name="p99 of ready to claimed beside pruning",
            value=p99 / alone_p99,
            unit="x",
            target=2,
            at_least=False,
            note=f"{p99:.1f} and {alone_p99:.1f} ms without",
        ),
        Row(name="pruned meanwhile", value=deleted / SECONDS, unit="1/s"),
    ]


class _Pruning:
    """The walk of the elected worker, with its pauses, in a thread of its own."""

    def __init__(self) -> None:
        self.deleted = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._walk)
        self._thread.start()

    def stop(self) -> None:
        """End it after the batch that is under way."""
        self._stopping.set()
        self._thread.join()

    def _walk(self) -> None:
        from pleme_redis_django.jobs.maintenance.retention import (
            BATCH_ROWS,
            PAUSE_LENGTHS,
            SHORTEST_PAUSE_SECONDS,
        )
        from pleme_redis_django.models import Job
        from pleme_redis_django.orm_store import OrmJobStore

        store, pause = OrmJobStore(Job), 0.0
        while not self._stopping.wait(pause):
            began = time.monotonic()
            self.deleted += store.prune_jobs(BATCH_ROWS).deleted
            pause = max(PAUSE_LENGTHS * (time.monotonic() - began), SHORTEST_PAUSE_SECONDS)
        connection.close()


def _offer(seconds: float) -> tuple[float, float]:
    """Enqueue at a steady rate; return jobs completed a second, and the p99 of their wait in milliseconds."""
    from tests.workload.jobs import noop

    begin = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        since = cursor.fetchone()[0]
    for number in range(int(seconds * BATCHES_A_SECOND)):
        time.sleep(max(begin + number / BATCHES_A_SECOND - time.monotonic(), 0))
        noop.enqueue_many({} for _ in range(JOBS_A_SECOND // BATCHES_A_SECOND))
    time.sleep(max(begin + seconds - time.monotonic(), 0))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), 1000 * extract(epoch FROM percentile_cont(0.99)"
            " WITHIN GROUP (ORDER BY claimed_at - run_after))"
            " FROM pleme_redis_django_job WHERE completed_at > %s AND created_at > %s",
            [since, since],
        )
        count, p99 = cursor.fetchone()
    return count / (time.monotonic() - begin), float(p99)


def _insert_old_jobs(count: int) -> None:
    """Insert jobs that ended eight days ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pleme_redis_django_job"
            " (id, product, job_type, queue_name, priority, status, parameters, max_retries, attempt,"
            "  worker_id, claimed_at, started_at, completed_at, created_at, results)"
            " SELECT uuidv7(interval '-8 days'), 'default', %s, 'default', 0, 'COMPLETED', '{\"number\": 1}', 3, 1,"
            "  gen_random_uuid(), at, at, at, at, '{\"done\": true}'"
            " FROM generate_series(1, %s), (SELECT now() - interval '8 days' AS at) AS ended",
            [NOOP, count],
        )
