"""Minutes of trouble with the database, with figures: part of ``make faults``, not of the suite.

Jobs come at a fixed rate, so that a worker which has recovered keeps up, whatever the machine.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from pleme_redis_django.testing.servers import PostgresServer
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses

pytestmark = pytest.mark.process

JOBS_PER_TICK = 20
TICK_SECONDS = 0.1
LOOK_SECONDS = 0.01
KILL_SECONDS = 60.0
KILL_EVERY_SECONDS = 0.2
DOWN_SECONDS = 30.0
RECOVERY_SECONDS = 30.0


@pytest.fixture
def own_postgres(process_environment: dict[str, str]) -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, env={**process_environment, "DATABASE_URL": server.url}, check=True)
        yield server


@pytest.fixture
def workers(own_postgres: PostgresServer, start_workers: StartWorkers) -> WorkerProcesses:
    started = start_workers(
        "--processes",
        "2",
        environment={"DATABASE_URL": own_postgres.url},
        pools={"default": {"poll_timeout": 1}},
    )
    started.wait_for_output("worker started", times=2)
    return started


def test_workers_keep_up_after_a_minute_of_killed_backends(
    own_postgres: PostgresServer, workers: WorkerProcesses
) -> None:
    children = workers.children()
    with psycopg.connect(own_postgres.url, autocommit=True) as own:
        before = _keep_up(own, 10)
        last_kill = 0.0
        killed = 0

        def kill_sometimes() -> None:
            nonlocal last_kill, killed
            if time.monotonic() - last_kill >= KILL_EVERY_SECONDS:
                last_kill = time.monotonic()
                killed += _kill_one_backend(own)

        during = supply(own, KILL_SECONDS, kill_sometimes)
        left = _unfinished(own)
        ended = time.monotonic()
        wait_for(lambda: _unfinished(own) == 0, "all end", deadline_seconds=RECOVERY_SECONDS)
        caught_up = time.monotonic() - ended
        after = _keep_up(own, 10)
    assert workers.children() == children
    sys.stdout.write(
        f"\n{killed} backends killed in {KILL_SECONDS:.0f} s while {during} jobs came: {left} left at the end of it, "
        f"done {caught_up:.1f} s later; the last of 10 s of jobs ended {before:.2f} s after it came before, "
        f"{after:.2f} s after\n"
    )


def test_workers_keep_up_after_half_a_minute_without_a_database(
    own_postgres: PostgresServer, workers: WorkerProcesses
) -> None:
    children = workers.children()
    with psycopg.connect(own_postgres.url, autocommit=True) as own:
        before = _keep_up(own, 10)
    own_postgres.crash()
    time.sleep(DOWN_SECONDS)
    own_postgres.start()
    up = time.monotonic()
    with psycopg.connect(own_postgres.url, autocommit=True) as own:
        supply(own, TICK_SECONDS)
        wait_for(lambda: _unfinished(own) == 0, "all end", deadline_seconds=RECOVERY_SECONDS)
        recovered = time.monotonic() - up
        after = _keep_up(own, 10)
    assert workers.children() == children
    sys.stdout.write(
        f"\nafter {DOWN_SECONDS:.0f} s without a database jobs ended {recovered:.1f} s after it was back; "
        f"the last of 10 s of jobs ended {before:.2f} s after it came before, {after:.2f} s after\n"
    )


def supply(
    own: psycopg.Connection[tuple[int]],
    seconds: float,
    meanwhile: Callable[[], None] = lambda: None,
    *,
    every_seconds: float = 0.01,
) -> int:
    """Insert jobs at the fixed rate for so long, and look in ``meanwhile``; return how many."""
    begin = next_look = time.monotonic()
    ticks = round(seconds / TICK_SECONDS)
    for tick in range(ticks):
        own.execute(
            "INSERT INTO pleme_redis_django_job (id, product, job_type, queue_name, priority, status,"
            " parameters, max_retries) SELECT uuidv7(), 'default', 'tests.workload.jobs.noop', 'default', 0,"
            " 'QUEUED', '{}', 3 FROM generate_series(1, %s)",
            [JOBS_PER_TICK],
        )
        while time.monotonic() < begin + (tick + 1) * TICK_SECONDS:
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + every_seconds
                meanwhile()
            time.sleep(LOOK_SECONDS)
    return ticks * JOBS_PER_TICK


def _keep_up(own: psycopg.Connection[tuple[int]], seconds: float) -> float:
    """Supply jobs for so long; return how long after the last of them the last one has ended."""
    supply(own, seconds)
    started = time.monotonic()
    wait_for(lambda: _unfinished(own) == 0, "the workers keep up", deadline_seconds=5)
    return time.monotonic() - started


def _unfinished(own: psycopg.Connection[tuple[int]]) -> int:
    row = own.execute("SELECT count(*) FROM pleme_redis_django_job WHERE status <> 'COMPLETED'").fetchone()
    assert row is not None
    return row[0]


def _kill_one_backend(own: psycopg.Connection[tuple[int]]) -> int:
    found = own.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        " AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
    )
    return len(found.fetchall())
