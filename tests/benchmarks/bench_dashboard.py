"""The dashboard over a million jobs: what each page takes on the server, and what those who look cost."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
import uuid
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import start_afresh
from tests.waiting import await_until

JOBS, QUEUES, PRODUCTS, WORKERS = 1_000_000, 200, 20, 50
VIEWERS, LOOK_SECONDS = 10, 12.0
TICKS = os.sysconf("SC_CLK_TCK")
LOOKS = 5
ADMIN = "/admin/pleme_redis_django/"
PAGES = {
    "overview": "dashboard/",
    "queues": "dashboard/queue/",
    "one queue": "dashboard/queue/p0/q0/",
    "workers": "dashboard/worker/",
    "errors, 7 d": "dashboard/error/?span=7d",
    "realtime": "dashboard/realtime/",
    "data.json": "dashboard/data.json",
    "series.json, 1 h": "dashboard/series.json?span=1h",
    "series.json, 7 d": "dashboard/series.json?span=7d",
    "job list": "job/",
    "job list, failed": "job/?status__exact=FAILED",
    "job list, one product": "job/?product=p7",
}

# Of a hundred jobs of a queue 88 are COMPLETED, 5 FAILED, 3 QUEUED, 3 PENDING and 1 is RUNNING.
_INSERT_JOBS = """
INSERT INTO pleme_redis_django_job
    (id, product, job_type, queue_name, priority, status, parameters, max_retries, attempt, worker_id,
     run_after, claimed_at, started_at, completed_at, failed_at, error_message, error_details, error_fingerprint)
SELECT uuidv7(), 'p' || number %% {products}, 'bench.type' || number %% 40, 'q' || number %% {queues}, 0, status,
    '{{"number": 1}}', 3, 1, gen_random_uuid(),
    statement_timestamp() + CASE WHEN status = 'PENDING' THEN interval '1 h' ELSE -interval '20 s' END,
    statement_timestamp(), statement_timestamp(),
    CASE WHEN status = 'COMPLETED' THEN statement_timestamp() END,
    CASE WHEN status = 'FAILED' THEN statement_timestamp() - number / 20 * interval '1 s' END,
    CASE WHEN status = 'FAILED' THEN repeat('the provider is away ', 20) ELSE '' END,
    CASE WHEN status = 'FAILED' THEN '{{"error_code": "away", "exception_class": "bench.Away"}}'::jsonb END,
    CASE WHEN status = 'FAILED' THEN md5((number %% 317)::text) ELSE '' END
FROM (
    SELECT number, CASE WHEN share < 88 THEN 'COMPLETED' WHEN share < 93 THEN 'FAILED' WHEN share < 96 THEN 'QUEUED'
        WHEN share < 99 THEN 'PENDING' ELSE 'RUNNING' END AS status
    FROM (SELECT number, number / {queues} %% 100 AS share FROM generate_series(1, %s) AS number) AS numbered
) AS jobs
"""

# What a sampler leaves behind after a week in which every queue was busy all the time.
_INSERT_ROLLUPS = """
INSERT INTO pleme_redis_django_queuerollup
    (job_model, step_seconds, started_at, product, queue_name, completed, retried, failed, cancelled, waits, runs,
     ready, running)
SELECT 'pleme_redis_django.job', step, started_at, product, queue_name, 20, 1, 1, 0,
    '{"20": 10, "24": 8, "31": 4}', '{"3": 10, "9": 9, "14": 3}', 150, 50
FROM (VALUES (10, 4500), (60, 25200), (600, 93600), (3600, 691200)) AS kept (step, seconds),
    LATERAL (SELECT extract(epoch FROM now())::bigint / step * step AS now) AS aligned,
    LATERAL generate_series(now - seconds, now - step, step) AS started_at,
    (SELECT '' AS product, '' AS queue_name
        UNION ALL SELECT 'p' || number, '' FROM generate_series(0, %s - 1) AS number
        UNION ALL SELECT 'p' || number %% %s, 'q' || number FROM generate_series(0, %s - 1) AS number) AS names
"""


def run(servers: BenchmarkServers) -> list[Row]:
    _fill(servers)
    with override_settings(ALLOWED_HOSTS=["*"], DEBUG=False):
        turns = [_turn() for _ in range(LOOKS)]
        sampler = Row(
            name="dashboard: a turn of the sampler",
            value=statistics.median(turns) * 1000,
            unit="ms",
            note="all queues busy; every 10 s, or 2 s while watched",
        )
        return [sampler, *_pages(), _viewers()]


def _fill(servers: BenchmarkServers) -> None:
    from pleme_redis_django.models import WorkerProcess

    start_afresh(servers)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE pleme_redis_django_queuerollup, pleme_redis_django_queuesample")
        cursor.execute("TRUNCATE pleme_redis_django_workertally")
        cursor.execute(_INSERT_JOBS.format(products=PRODUCTS, queues=QUEUES), [JOBS])
        cursor.execute(_INSERT_ROLLUPS, [PRODUCTS, PRODUCTS, QUEUES])
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    lease_until = Now() + timedelta(days=1)
    WorkerProcess.objects.bulk_create(
        WorkerProcess(
            pool="default", host=f"host-{number}", pid=number + 1, slots=55, lease_until=lease_until
        )
        for number in range(WORKERS)
    )


def _turn() -> float:
    """Return how long a turn takes whose process has just become the sampler."""
    from pleme_redis_django.metrics.sampler import Sampler
    from pleme_redis_django.models import Election, Job
    from pleme_redis_django.orm_store import OrmWorkerRegistry

    Election.objects.all().delete()
    worker_id = str(uuid.uuid4())
    sampler = Sampler(Job, OrmWorkerRegistry(), lambda: worker_id, using="default")
    began = time.perf_counter()
    sampler.turn()
    return time.perf_counter() - began


def _pages() -> list[Row]:
    client = Client()
    client.force_login(_administrator())
    rows = []
    for name, path in PAGES.items():
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(ADMIN + path)
        queries = len(captured)
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}.")
        took = []
        for _ in range(LOOKS):
            began = time.perf_counter()
            client.get(ADMIN + path)
            took.append(time.perf_counter() - began)
        rows.append(
            Row(
                name=f"dashboard: {name}",
                value=statistics.median(took) * 1000,
                unit="ms",
                target=300,
                at_least=False,
                note=f"{queries} queries, {len(answer.content) / 1024:,.0f} KiB",
            )
        )
    return rows


def _administrator() -> object:
    from django.contrib.auth import get_user_model

    model = get_user_model()
    return model.objects.filter(username="bench").first() or model.objects.create_superuser("bench")


def _viewers() -> Row:
    share = asyncio.run(_cpu_share(_administrator()))
    return Row(
        name=f"dashboard: CPU of {VIEWERS} viewers",
        value=100 * share,
        unit="% of a core",
        target=5,
        at_least=False,
        note="web process and its database backends, snapshots over websockets",
    )


async def _cpu_share(user: object) -> float:
    from pleme_redis_django.realtime.dashboard_consumer import DashboardConsumer
    from pleme_redis_django.testing.realtime import close_realtime
    from pleme_redis_django.testing.realtime.client import open_socket

    application = DashboardConsumer.as_asgi()
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(open_socket(user, application=application, subprotocols=[]))
            for _ in range(VIEWERS)
        ]
        await await_until(
            lambda: all(socket.client.pushes for socket in sockets), "every viewer has its first snapshot"
        )
        began, used = time.perf_counter(), await _cpu_seconds()
        await asyncio.sleep(LOOK_SECONDS)
        share = (await _cpu_seconds() - used) / (time.perf_counter() - began)
    await close_realtime()
    await sync_to_async(connections.close_all)()
    return share


@sync_to_async
def _cpu_seconds() -> float:
    """Return what this process and the database's backends have used so far."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for (pid,) in cursor]
    # User and system time are the 14th and 15th field (proc(5)), counted here from the third.
    return time.process_time() + sum(int(stat[11]) + int(stat[12]) for stat in stats) / TICKS
