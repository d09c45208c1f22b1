"""The database from a worker's side: lost replies, killed backends, a restart, its clock, and the idle load."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from pleme_redis_django import Job
from pleme_redis_django.models import Election
from pleme_redis_django.testing.servers import PostgresServer
from tests.database_proxy import DatabaseProxy
from tests.faults.effects import effects_of, rows, transitions_of
from tests.faults.jobs import create_group, leave_transaction_open, read_clock, record, wait_for_file
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.workload.jobs import noop

pytestmark = pytest.mark.process

SKEWED_CLOCK = Path(__file__).parents[1] / "faults" / "skewed_clock"
HOUR = 3600
IDLE_SECONDS = 10
MANY_JOBS = 300


def completed() -> int:
    return Job.objects.filter(status="COMPLETED").count()


@pytest.mark.parametrize(
    "marker",
    [b"claimed_at = statement_timestamp()", b"EXECUTE pleme_", b"ending.run_seconds"],
    ids=["of a claim", "of a claim that is planned", "of an ending"],
)
def test_a_lost_commit_reply_costs_no_job_and_no_second_ending(
    start_workers: StartWorkers, effects: None, database_proxy: DatabaseProxy, marker: bytes
) -> None:
    workers = start_workers(environment=database_proxy.environment())
    workers.wait_for_output("worker started")
    database_proxy.lose_reply_to_commit_after(marker)
    jobs: list[Any] = []
    while not database_proxy.replies_lost:
        assert len(jobs) < MANY_JOBS, "nothing was sent that could be lost"
        jobs += record.enqueue_many({} for _ in range(3))
        wait_for(
            lambda: not Job.objects.exclude(status="COMPLETED").exists(),
            "every job ends",
            details=workers.output,
        )
    assert database_proxy.replies_lost == 1
    for job in jobs:
        assert [new for _old, new in transitions_of(job.id)].count("COMPLETED") == 1
    lost_claims = [attempt for _job, attempt, *_ in effects_of("begin") if attempt > 1]
    assert len(effects_of("begin")) == len(jobs), lost_claims
    assert not Job.objects.exclude(retry_count=0, crash_count=0)


def test_a_worker_survives_that_its_backends_are_killed(start_workers: StartWorkers, effects: None) -> None:
    jobs = record.enqueue_many({"seconds": 0.01} for _ in range(300))
    workers = start_workers()
    wait_for(lambda: effects_of("begin"), "work begins", details=workers.output)
    children = workers.children()
    for _round in range(10):
        seen = len(effects_of("begin"))
        rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        wait_for(
            lambda seen=seen: len(effects_of("begin")) > seen or completed() == 300,
            "work goes on",
            details=workers.output,
        )
    wait_for(lambda: completed() == 300, "every job ends", details=workers.output)
    assert workers.children() == children
    for job in jobs:
        assert [new for _old, new in transitions_of(job.id)].count("COMPLETED") == 1


@pytest.mark.parametrize("how", ["atomic block", "autocommit off"])
def test_a_handler_that_leaves_its_transaction_open_harms_no_other(
    start_workers: StartWorkers, how: str
) -> None:
    """Both run in the one thread of the pool, on its one connection."""
    leave_transaction_open.enqueue(how)
    create_group.enqueue("of the next job")
    workers = start_workers("--burst", "--worker-count", "1")
    assert workers.exit_code() == 0, workers.output()
    assert completed() == 2, workers.output()
    assert list(Group.objects.values_list("name", flat=True)) == ["of the next job"]


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    with PostgresServer(durable=False) as server:
        yield server


def test_a_worker_survives_that_its_database_crashes_and_comes_back(
    start_workers: StartWorkers, own_postgres: PostgresServer, process_environment: dict[str, str]
) -> None:
    environment = {"DATABASE_URL": own_postgres.url}
    migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, env={**process_environment, **environment}, check=True)
    workers = start_workers(environment=environment)
    workers.wait_for_output("worker started")
    children = workers.children()
    _run_noops(own_postgres, 50)
    own_postgres.crash()
    workers.wait_for_output("the database does not answer")
    own_postgres.start()
    _run_noops(own_postgres, 50)
    workers.wait_for_output("the database answers again")
    assert workers.children() == children


def _run_noops(server: PostgresServer, count: int) -> None:
    with psycopg.connect(server.url, autocommit=True) as own:
        own.execute(
            "INSERT INTO pleme_redis_django_job (id, product, job_type, queue_name, priority, status,"
            " parameters, max_retries) SELECT uuidv7(), 'default', 'tests.workload.jobs.noop', 'default', 0,"
            " 'QUEUED', '{}', 3 FROM generate_series(1, %s)",
            [count],
        )
        left = "SELECT count(*) FROM pleme_redis_django_job WHERE status <> 'COMPLETED'"
        wait_for(lambda: own.execute(left).fetchone() == (0,), "every job ends")


CLAIM_ALL = """
import os, uuid
import django
django.setup()
from example_project.shop.jobs import print_label
from pleme_redis_django.jobs.interface.endings import GivenBack
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore
from tests.workload.jobs import noop

print_label.enqueue("1")
noop.enqueue()
store, worker_id = OrmJobStore(Job), str(uuid.uuid4())
labels = JobSelection(queue_names=("labels",))
# The first one has the limit written down, which the disk is waited for.
(job,) = store.claim_jobs(worker_id, 1, labels)
assert store.finish_jobs([GivenBack(job_id=job.id, claim=job.claim)]) == [True]
assert store.claim_jobs(worker_id, 1, labels)
assert store.claim_jobs(worker_id, 1, JobSelection(queue_names=("default",)))
os._exit(0)
"""


def test_a_crash_of_the_database_forgets_no_claim_that_a_limit_counts(
    process_environment: dict[str, str],
) -> None:
    """Another job would start beside it. That of a job without a limit is not waited for, and may be forgotten."""
    with PostgresServer() as server:
        environment = {**process_environment, "DATABASE_URL": server.url}
        migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, env=environment, check=True)
        with psycopg.connect(server.url, autocommit=True) as own:
            # Else it writes what nobody waits for after 0.2 s.
            own.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        server.restart()
        subprocess.run([sys.executable, "-c", CLAIM_ALL], env=environment, check=True)
        server.crash()
        server.start()
        with psycopg.connect(server.url) as own:
            found = own.execute("SELECT queue_name, status FROM pleme_redis_django_job").fetchall()
    assert dict(found) == {"labels": "RUNNING", "default": "QUEUED"}


@pytest.mark.parametrize("skew_seconds", [HOUR, -HOUR])
def test_a_worker_whose_clock_is_wrong_goes_by_the_databases(
    start_workers: StartWorkers, effects: None, tmp_path: Path, skew_seconds: int
) -> None:
    """Its sweeps take no live worker's jobs, and scheduled jobs start neither early nor never."""
    skewed = {"PYTHONPATH": str(SKEWED_CLOCK), "CLOCK_SKEW_SECONDS": str(skew_seconds)}
    wrong = start_workers("--queues", "clock", environment=skewed)
    clock = read_clock.using(queue_name="clock").enqueue()
    wait_for(lambda: completed() == 1, "the wrong worker works", details=wrong.output)
    shown = Job.objects.get(id=clock.id)
    assert [round((seconds - time.time()) / HOUR) for seconds in shown.results] == [skew_seconds / HOUR] * 3
    # The first to come is the one that sweeps.
    wait_for(lambda: Election.objects.filter(role__startswith="sweeper"), "it sweeps", details=wrong.output)

    right = start_workers("--queues", "long")
    gate = tmp_path / "gate"
    long_job = wait_for_file.using(queue_name="long").enqueue(str(gate))
    wait_for(lambda: effects_of("begin"), "the long job begins", details=right.output)
    beyond_the_lease = timezone.now() + timedelta(seconds=3)
    scheduled = noop.using(queue_name="clock", run_after=beyond_the_lease).enqueue()
    wait_for(lambda: completed() == 2, "the scheduled job ends", details=wrong.output)
    row = Job.objects.get(id=scheduled.id)
    assert row.claimed_at >= row.run_after == beyond_the_lease
    assert abs(row.started_at - row.claimed_at) < timedelta(minutes=1)
    gate.touch()
    wait_for(lambda: completed() == 3, "the long job ends", details=right.output)
    assert transitions_of(long_job.id) == [("QUEUED", "RUNNING"), ("RUNNING", "COMPLETED")]


@pytest.mark.parametrize("settings", [{}, {"url": None}], ids=["with Redis", "without"])
def test_an_idle_process_makes_at_most_one_transaction_a_second(
    start_workers: StartWorkers, database_proxy: DatabaseProxy, settings: dict[str, Any]
) -> None:
    environment = database_proxy.environment()
    workers = start_workers("--processes", "2", pools={"default": {}}, environment=environment, **settings)
    workers.wait_for_output("worker started", times=2)
    counts: deque[tuple[float, int]] = deque()

    def were_idle() -> bool:
        """Whether two processes have made at most two transactions a second for the last ten seconds."""
        now = time.monotonic()
        counts.append((now, database_proxy.transactions_ended))
        while len(counts) > 1 and counts[1][0] <= now - IDLE_SECONDS:
            counts.popleft()
        (began, before), (_, after) = counts[0], counts[-1]
        return began <= now - IDLE_SECONDS and 0 < after - before <= 2 * IDLE_SECONDS

    wait_for(were_idle, "two idle processes make at most two transactions a second", details=workers.output)
