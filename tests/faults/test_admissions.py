"""What strikes at an admission, or while a turn is passed on: a process that is frozen, a database that restarts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from pleme_redis_django import Job
from pleme_redis_django.testing.servers import PostgresServer
from tests.faults.effects import CREATE_EFFECTS, HAS_ENDED, MOST_AT_ONCE, effects_of, most_at_once
from tests.faults.limits.jobs import KEY_LIMIT, hold_limited, record_limited_async
from tests.faults.test_limits import IN_WORKERS, unfinished
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses

pytestmark = pytest.mark.process

JOBS = 6
STANDS_STILL = {"store": "tests.faults.limits.stores.InterruptedJobStore"}


@pytest.fixture
def admission(tmp_path: Path) -> Path:
    """The folder by which an admission is stopped."""
    folder = tmp_path / "admission"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def _own_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def own_postgres(
    _own_server: PostgresServer, process_environment: dict[str, str]
) -> Iterator[PostgresServer]:
    """A server that a test may crash; tests share it, and each begins without jobs."""
    with psycopg.connect(_own_server.url, autocommit=True) as own:
        if own.execute("SELECT to_regclass('fault_effects')").fetchone() == (None,):
            migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
            subprocess.run(migrate, env={**process_environment, "DATABASE_URL": _own_server.url}, check=True)
            own.execute(CREATE_EFFECTS)
        own.execute(
            "TRUNCATE pleme_redis_django_job, pleme_redis_django_flowlimit, fault_effects, fault_transitions CASCADE"
        )
    return _own_server


def where_it_stands(admission: Path, workers: WorkerProcesses) -> int:
    """Return the id of the process that stands between a claim and its admission, once it does."""
    reached = admission / "reached"
    text = wait_for(lambda: reached.exists() and reached.read_text(), "it claims", details=workers.output)
    return int(text or "0")


@pytest.mark.usefixtures("effects")
def test_a_process_frozen_before_its_admission_starts_nothing_past_its_lease(
    start_workers: StartWorkers, admission: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    hold_limited.enqueue_many({"key": "a", "path": str(gate)} for _ in range(JOBS))
    environment = {**IN_WORKERS, "FAULT_ADMISSION": str(admission)}
    first = start_workers(pool={**STANDS_STILL, "worker_count": JOBS}, environment=environment)
    zombie = where_it_stands(admission, first)
    assert Job.objects.filter(status="RUNNING").count() == JOBS, "all are claimed, and nobody was counted"
    os.kill(zombie, signal.SIGSTOP)
    second = start_workers(pool={"worker_count": JOBS}, environment=IN_WORKERS)
    wait_for(
        lambda: len(effects_of("begin")) == KEY_LIMIT, "they are rescued, and begin", details=second.output
    )
    (admission / "go").touch()
    os.kill(zombie, signal.SIGCONT)
    first.wait_for_output("was declared dead, continues as a new worker")
    gate.touch()
    wait_for(lambda: not unfinished(), "every job ends", details=second.output)
    begun = [job_id for job_id, *_ in effects_of("begin")]
    assert len(begun) == len(set(begun)) == JOBS, "each has run once"
    assert most_at_once("concurrency_key") == {"fault:a": KEY_LIMIT}


INSERT_JOBS = """
INSERT INTO pleme_redis_django_job (id, product, job_type, queue_name, priority, parameters, max_retries,
                                    concurrency_key, order_key, status, blocked_on)
SELECT uuidv7(), 'default', %(job_type)s, 'default', 0, '{"key": "a", "seconds": 0.01}', 1000, asked.key, asked.line,
       CASE WHEN number > 1 AND asked.line IS NOT NULL THEN 'BLOCKED' ELSE 'QUEUED' END,
       CASE WHEN number > 1 THEN 'o:default:' || asked.line END
FROM (SELECT %(concurrency_key)s::text AS key, %(order_key)s::text AS line) AS asked,
     generate_series(1, %(count)s) AS number
"""
INSERT_RATE = """
WITH rule AS (
    INSERT INTO pleme_redis_django_flowlimit (job_model, kind, product, name, is_shared, rate, per_seconds, burst,
                                              source, edited_by, edit_reason)
    VALUES ('pleme_redis_django.job', 'key', '', 'paid', false, 100, 1, 5, 'admin', '', '') RETURNING id
)
INSERT INTO pleme_redis_django_flowgate (limit_id, gate) SELECT id, 'k:default:paid' FROM rule
"""
# Whoever parks or passes a turn on waits for the lock of its gate, and whoever takes tokens for the row of its gate.
HOLD_LOCKS = "SELECT pg_advisory_xact_lock(1886154085, bucket) FROM generate_series(0, 63) AS bucket"
HOLD_GATES = "SELECT 1 FROM pleme_redis_django_flowgate FOR UPDATE"


@pytest.mark.parametrize(
    ("strike", "keys", "hold", "most_at_a_time"),
    [
        ("before the count", {"concurrency_key": "fault:a"}, None, KEY_LIMIT),
        ("in the midst of parking", {"concurrency_key": "fault:a"}, HOLD_LOCKS, KEY_LIMIT),
        ("while a turn is passed on", {"order_key": "a"}, HOLD_LOCKS, 1),
        ("while tokens are taken", {"concurrency_key": "paid"}, HOLD_GATES, None),
    ],
    ids=["count", "parking", "turn", "tokens"],
)
def test_a_database_that_restarts_during_an_admission_loses_nobody(
    start_workers: StartWorkers,
    own_postgres: PostgresServer,
    admission: Path,
    strike: str,
    keys: dict[str, str],
    hold: str | None,
    most_at_a_time: int | None,
) -> None:
    environment = {**IN_WORKERS, "DATABASE_URL": own_postgres.url, "EFFECTS_DATABASE_URL": own_postgres.url}
    with psycopg.connect(own_postgres.url, autocommit=True) as own:
        values = {"job_type": record_limited_async.name, "concurrency_key": None, "order_key": None}
        own.execute(INSERT_RATE)
        own.execute(INSERT_JOBS, {**values, **keys, "count": 10 * JOBS})
    if hold is None:
        workers = start_workers(
            pool=STANDS_STILL, environment={**environment, "FAULT_ADMISSION": str(admission)}
        )
        where_it_stands(admission, workers)
        own_postgres.crash()
    else:
        # Not as contexts, which commit: their server is gone then.
        with closing(psycopg.connect(own_postgres.url)) as holder, closing(_watcher(own_postgres)) as watcher:
            holder.execute(hold)
            workers = start_workers(environment=environment)
            waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            wait_for(
                lambda: watcher.execute(waiting).fetchone(), f"it waits {strike}", details=workers.output
            )
            own_postgres.crash()
    workers.wait_for_output("the database does not answer")
    own_postgres.start()
    (admission / "go").touch()
    with psycopg.connect(own_postgres.url, autocommit=True) as own:
        left = "SELECT count(*) FROM pleme_redis_django_job WHERE status <> 'COMPLETED'"
        wait_for(
            lambda: own.execute(left).fetchone() == (0,),
            "every job ends",
            deadline_seconds=60,
            details=workers.output,
        )
        begun = "SELECT count(*), count(DISTINCT job_id) FROM fault_effects WHERE what = 'begin'"
        assert own.execute(begun).fetchone() == (10 * JOBS, 10 * JOBS), "each has run once"
        (column,) = keys
        most = own.execute(MOST_AT_ONCE.format(column=column, until=HAS_ENDED)).fetchall()
    assert most_at_a_time is None or most == [(keys[column], most_at_a_time)]


def _watcher(server: PostgresServer) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(server.url, autocommit=True)
