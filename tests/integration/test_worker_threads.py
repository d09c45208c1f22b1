"""Threads of worker processes: one that ends takes its process down, and none waits for a pool's connection."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from django.db import connection

from pleme_redis_django import JobStatus
from pleme_redis_django.checks.jobs_deploy import ENGINE_CONNECTIONS
from pleme_redis_django.models import Election, Job
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.workload import jobs

pytestmark = pytest.mark.process


def _completed(count: int) -> bool:
    return Job.objects.filter(status=JobStatus.COMPLETED).count() == count


def test_a_process_whose_claimer_has_ended_is_replaced(start_workers: StartWorkers) -> None:
    workers = start_workers()
    jobs.break_the_claimer.enqueue()
    output = workers.wait_for_output("ended with exit code 5; starting another one")
    assert "pleme-claimer" in output
    jobs.noop.enqueue()
    wait_for(partial(_completed, 2), "the next process runs jobs", details=workers.output)
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0


def test_a_handler_that_silences_its_process_is_counted_once_it_keeps_coming_back(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    """No thread of its process can write that it runs, once it does."""
    neighbour = start_workers("--queues", "none")
    wait_for(
        lambda: Election.objects.filter(role__startswith="sweeper"), "it sweeps", details=neighbour.output
    )
    os.mkfifo(tmp_path / "pipe")
    silencer = jobs.hold_the_interpreter.enqueue(str(tmp_path / "pipe"))
    Job.objects.filter(id=silencer.id).update(attempt=6)
    start_workers()
    neighbour.wait_for_output("rescued the jobs of dead workers jobs=1")
    assert Job.objects.get(id=silencer.id).unseen_deaths == 1


def test_workers_need_no_room_in_a_connection_pool(start_workers: StartWorkers) -> None:
    jobs.count_jobs.enqueue_many([{}] * 20)
    options = json.dumps({"OPTIONS": {"pool": {"max_size": 4, "timeout": 4}}})
    workers = start_workers("--worker-count", "5", environment={"DATABASE_OVERRIDES": options})
    wait_for(partial(_completed, 20), "20 jobs end", details=workers.output)
    assert workers.output().count("workers do not use the connection pool") == 1


# What a program of the project's own may be: no supervisor, no runworkers.
PROGRAM = """
import django
django.setup()
from pleme_redis_django import Job, WorkerPool, WorkerPoolConfig
from pleme_redis_django.event_log import EngineEvents
from pleme_redis_django.jobs.definitions.registry import RegistryExecutor
from pleme_redis_django.orm_store import DatabaseScope, OrmJobStore, OrmWorkerRegistry
import tests.workload.jobs
WorkerPool(
    WorkerPoolConfig(worker_count=5), None, RegistryExecutor(), OrmJobStore(Job),
    registry=OrmWorkerRegistry(), scope=DatabaseScope(), sink=EngineEvents(), burst=True,
).start()
"""


def test_a_pool_of_a_programs_own_starves_nobody_in_a_connection_pool(
    transactional_db: None, process_environment: dict[str, str]
) -> None:
    pytest.importorskip("psycopg_pool", reason="Django has no connection pool without psycopg_pool.")
    jobs.count_jobs.enqueue_many([{}] * 20)
    options = json.dumps({"OPTIONS": {"pool": {"min_size": 1, "max_size": 2, "timeout": 4}}})
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**process_environment, "DATABASE_OVERRIDES": options},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert _completed(20), ended.stderr
    assert "PoolTimeout" not in ended.stderr


def test_only_handlers_that_use_the_database_hold_a_connection(start_workers: StartWorkers) -> None:
    workers = start_workers("--worker-count", "20")
    jobs.waiting_jobs.wait_in_a_thread.enqueue_many([{}] * 200)
    jobs.waiting_jobs.wait_in_the_loop.enqueue_many([{}] * 200)
    wait_for(partial(_completed, 400), "the jobs that wait end", details=workers.output)
    assert 0 < _connections_of_workers() <= ENGINE_CONNECTIONS
    jobs.count_jobs.enqueue_many([{}] * 200)
    wait_for(partial(_completed, 600), "the jobs that count end", details=workers.output)
    assert _connections_of_workers() > ENGINE_CONNECTIONS


def _connections_of_workers() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'pleme-redis-django worker' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])
