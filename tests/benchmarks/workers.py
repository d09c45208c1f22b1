"""What the job benchmarks share: empty tables, worker processes that are ended by pid, and rates."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from tests.benchmarks.servers import BenchmarkServers
from tests.waiting import wait_for

DEADLINE_SECONDS = 120.0
WAKING_JOBS = 200
NOOP = "tests.workload.jobs.noop"
wait_until = functools.partial(wait_for, deadline_seconds=DEADLINE_SECONDS)
QUIET = ("--verbosity", "0")


def start_afresh(servers: BenchmarkServers) -> None:
    """Empty the job tables and Redis, and have PostgreSQL write out what earlier rounds left."""
    import redis

    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE pleme_redis_django_job, pleme_redis_django_jobattempt,"
            " pleme_redis_django_workerprocess, pleme_redis_django_election, pleme_redis_django_queuepause"
        )
    settle()
    with redis.Redis.from_url(servers.services.redis_url) as client:
        client.flushall()


def settle() -> None:
    """Refresh the planner's statistics and write a checkpoint, so that neither falls into a measurement."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE pleme_redis_django_job")
        cursor.execute("CHECKPOINT")


def insert_ready_jobs(
    count: int,
    queue_name: str = "default",
    product: str = "default",
    job_type: str = NOOP,
    products: int = 1,
) -> None:
    """Insert ready no-op jobs without hints, as they would lie there after an outage of Redis.

    ``products``: of so many in turns, whose names begin with that of ``product``.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pleme_redis_django_job"
            " (id, product, job_type, queue_name, priority, status, parameters, max_retries)"
            " SELECT uuidv7(), CASE WHEN %s = 1 THEN %s ELSE concat(%s, '-', number %% %s) END, %s, %s, 0, 'QUEUED',"
            "  '{}', 3 FROM generate_series(1, %s) AS number",
            [products, product, product, products, job_type, queue_name, count],
        )


def insert_finished_jobs(count: int) -> None:
    """Insert jobs that have ended, as a table holds them after a while in production."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pleme_redis_django_job"
            " (id, product, job_type, queue_name, priority, status, parameters, max_retries, attempt,"
            "  worker_id, claimed_at, started_at, completed_at, results)"
            " SELECT uuidv7(), 'default', %s, 'default', 0, 'COMPLETED', '{\"number\": 1}', 3, 1,"
            "  gen_random_uuid(), now(), now(), now(), '{\"done\": true}' FROM generate_series(1, %s)",
            [NOOP, count],
        )


@contextmanager
def worker_processes(servers: BenchmarkServers, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``runworkers`` of one pool for the block; whatever is left of it afterwards is ended.

    With every pool of the settings, the idle processes of the others would start and look beside what is measured.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "runworkers", *QUIET, *arguments],
        env=_of_one_pool(servers.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_burst(servers: BenchmarkServers, *arguments: str) -> None:
    """Run ``runworkers --burst`` to its end; raises RuntimeError unless it ends well."""
    with worker_processes(servers, "--burst", *arguments) as process:
        if process.wait(DEADLINE_SECONDS) != 0:
            raise RuntimeError(f"runworkers --burst ended with exit code {process.returncode}.")


def drain_rate(servers: BenchmarkServers, jobs: int) -> float:
    """Insert ready jobs, run two worker processes until all have ended, and return jobs a second."""
    insert_ready_jobs(jobs)
    settle()
    run_burst(servers, "--processes", "2")
    return completion_rate(jobs)


def drain_cpu(servers: BenchmarkServers, insert: Callable[[int], None], jobs: int) -> tuple[float, float]:
    """Have two idle worker processes run jobs that appear at once; return their CPU for each in us, and jobs a second.

    What a process costs to start is as much as such a drain, and is not in it.
    """
    from tests.workload.jobs import noop

    start_afresh(servers)
    with worker_processes(servers, "--processes", "2"):
        wait_until(lambda: len(set(worker_pids())) == 2, "the workers register")
        pids = set(worker_pids())
        before = sum(map(cpu_seconds, pids))
        insert(jobs)
        # Their hints wake both processes, which then find the others.
        noop.enqueue_many({} for _ in range(WAKING_JOBS))
        # Counted only then: with 100,000 rows beside them, a count at each look took a tenth of what the workers left.
        wait_until(lambda: not _ready() and _completed() == jobs + WAKING_JOBS, "every job ends")
        spent = sum(map(cpu_seconds, pids)) - before
        if set(worker_pids()) != pids:
            raise RuntimeError("A worker process was replaced while it was measured.")
    return 1e6 * spent / (jobs + WAKING_JOBS), completion_rate(jobs + WAKING_JOBS)


def _of_one_pool(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment with one pool, where the benchmark names none: every pool has processes of its own."""
    overrides = json.loads(environment.get("PLEME_REDIS_OVERRIDES", "{}"))
    return {**environment, "PLEME_REDIS_OVERRIDES": json.dumps({"POOLS": {"default": {}}, **overrides})}


def cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _ready() -> bool:
    from pleme_redis_django.models import Job
    from pleme_redis_django.models.indexes import READY_CONDITION

    return Job.objects.filter(READY_CONDITION).exists()


def _completed() -> int:
    from pleme_redis_django.models import Job

    return Job.objects.filter(status="COMPLETED").count()


def claim_times(claims: int, size: int) -> list[float]:
    """Return the milliseconds of each of so many claims through the store, of ``size`` jobs that are ready."""
    from pleme_redis_django.jobs.interface.selection import JobSelection
    from pleme_redis_django.models import Job
    from pleme_redis_django.orm_store import OrmJobStore

    store, worker_id, everything = OrmJobStore(Job), str(uuid.uuid4()), JobSelection()
    store.look_ahead(everything)
    milliseconds = []
    for _ in range(claims):
        started = time.perf_counter()
        claimed = store.claim_jobs(worker_id, size, everything)
        milliseconds.append(1000 * (time.perf_counter() - started))
        if len(claimed) != size:
            raise RuntimeError(f"A claim returned {len(claimed)} jobs, and {size} are there.")
    return milliseconds


def completion_rate(expected: int) -> float:
    """Return jobs a second from the first to the last completion; raises RuntimeError if any is missing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), extract(epoch FROM max(completed_at) - min(completed_at))"
            " FROM pleme_redis_django_job WHERE status = 'COMPLETED' AND results IS NULL"
        )
        count, seconds = cursor.fetchone()
    if count != expected:
        raise RuntimeError(f"{count:,} of {expected:,} jobs are COMPLETED.")
    return (count - 1) / float(seconds)


def worker_pids() -> list[int]:
    """Return the pids of the worker processes that have registered."""
    from pleme_redis_django.models import WorkerProcess

    return list(WorkerProcess.objects.filter(died_at=None).values_list("pid", flat=True))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile, ``share`` from 0 to 1."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
