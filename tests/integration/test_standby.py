"""A primary and its standby, as DATABASES names both: workers find the one that takes writes, also after a switch."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pleme_redis_django.testing.servers import PostgresServer
from pleme_redis_django.testing.servers.account import make_scratch_folder, unprivileged_account
from tests.integration.conftest import StartWorkers
from tests.integration.test_database import _run_noops
from tests.waiting import wait_for

pytestmark = pytest.mark.process

TRUST = "local all all trust\nlocal replication all trust\n"


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that the servers' account can read."""
    folder = make_scratch_folder(unprivileged_account())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def primary(shared_folder: Path, process_environment: dict[str, str]) -> Iterator[PostgresServer]:
    """A server with the tables of the project."""
    with replicated_server(shared_folder / "primary", shared_folder) as server:
        migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, env={**process_environment, "DATABASE_URL": server.url}, check=True)
        yield server


@pytest.fixture
def standby(shared_folder: Path, primary: PostgresServer) -> Iterator[PostgresServer]:
    """A server that follows the primary, and only reads."""
    data = shared_folder / "standby"
    primary.halt()
    shutil.copytree(shared_folder / "primary", data)
    (data / "standby.signal").touch()
    for path in (data, *data.rglob("*")):
        unprivileged_account().own(path)
    primary.start()
    with replicated_server(
        data, shared_folder, primary_conninfo=f"host={primary.folder} user=postgres"
    ) as server:
        yield server


def replicated_server(data: Path, folder: Path, **settings: str) -> PostgresServer:
    access = folder / "access.conf"
    access.write_text(TRUST)
    unprivileged_account().own(access)
    return PostgresServer(durable=False, data_folder=data, settings={"hba_file": str(access), **settings})


def test_workers_find_the_server_that_takes_writes_before_and_after_a_failover(
    start_workers: StartWorkers, primary: PostgresServer, standby: PostgresServer
) -> None:
    hosts = f"{standby.folder},{primary.folder}"  # The one that only reads comes first, and answers.
    conninfo = make_conninfo(host=hosts, port=5432, user="postgres", dbname="postgres")
    workers = start_workers(environment={"DATABASE_URL": conninfo})
    workers.wait_for_output("worker started")
    children = workers.children()
    _run_noops(primary, 20)
    with psycopg.connect(standby.url, autocommit=True) as own:
        done = "SELECT count(*) FROM pleme_redis_django_job WHERE status = 'COMPLETED'"
        wait_for(lambda: own.execute(done).fetchone() == (20,), "the standby follows")
        primary.crash()
        own.execute("SELECT pg_promote()")
    workers.wait_for_output("the database does not answer")
    _run_noops(standby, 20)
    workers.wait_for_output("the database answers again during=claim")
    assert workers.children() == children
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0, workers.output()
