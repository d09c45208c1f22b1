"""What holds back vacuums besides sessions of the database, on servers that have it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections

from pleme_redis_django.orm_store.dialects.postgresql.oldest_snapshot import oldest_snapshot
from pleme_redis_django.orm_store.table_storage import OldestSnapshot
from pleme_redis_django.testing.servers import PostgresServer, database_settings
from pleme_redis_django.testing.servers.account import unprivileged_account
from tests.integration.test_standby import replicated_server, shared_folder  # noqa: F401 - a fixture
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db


@contextmanager
def connected(server: PostgresServer, name: str = "postgres") -> Iterator[Any]:
    """Yield a cursor on a server, which is the database "default" meanwhile."""
    usual = connections["default"]
    connection = usual.copy()
    connection.settings_dict = {**connection.settings_dict, **database_settings(server.url), "NAME": name}
    connections["default"] = connection
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connections["default"] = usual
        connection.close()


def oldest() -> OldestSnapshot | None:
    return oldest_snapshot("default")


def test_a_prepared_transaction_is_named() -> None:
    settings = {"max_prepared_transactions": "2"}
    with PostgresServer(durable=False, settings=settings) as server, connected(server) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT txid_current()")
        cursor.execute("PREPARE TRANSACTION 'order 7'")
        snapshot = oldest()
        assert snapshot is not None
        assert (snapshot.kind, snapshot.name, snapshot.pid) == ("prepared transaction", "order 7", None)
        assert (snapshot.user, snapshot.database) == ("postgres", "postgres")
        assert snapshot.seconds is not None and not snapshot.is_hidden
        cursor.execute("ROLLBACK PREPARED 'order 7'")
        assert oldest() is None


def test_of_another_database_only_who_writes_holds_back_this_one() -> None:
    with PostgresServer(durable=False) as server, connected(server) as cursor:
        cursor.execute("CREATE DATABASE neighbour")
        with psycopg.connect(f"host={server.folder} user=postgres dbname=neighbour") as there:
            there.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            there.execute("SELECT 1")
            assert oldest() is None
            there.execute("SELECT txid_current()")
            snapshot = oldest()
            assert snapshot is not None and snapshot.database == "neighbour"
            assert snapshot.pid == there.info.backend_pid


def test_of_several_that_are_equally_old_the_first_is_named() -> None:
    """A writing transaction is in the snapshots of all that come later, which are innocent."""
    with (
        PostgresServer(durable=False) as server,
        connected(server),
        psycopg.connect(server.url) as first,
        psycopg.connect(server.url) as second,
    ):
        first.execute("SELECT txid_current()")
        second.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        second.execute("SELECT 1")
        assert (snapshot := oldest()) and snapshot.pid == first.info.backend_pid


@pytest.mark.parametrize("slot", ["", "dr_site"])
def test_a_query_of_a_standby_is_named_by_its_connection_or_its_slot(
    shared_folder: Path,  # noqa: F811 - the fixture
    slot: str,
) -> None:
    with replicated_server(shared_folder / "primary", shared_folder) as primary:
        if slot:
            with psycopg.connect(primary.url, autocommit=True) as session:
                session.execute("SELECT pg_create_physical_replication_slot(%s)", [slot])
        standby = _standby_of(primary, shared_folder, slot)
        with standby, psycopg.connect(standby.url) as report, connected(primary):
            report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            report.execute("SELECT 1")
            snapshot = wait_for(oldest, "the standby tells its snapshot")
    assert (snapshot.kind, snapshot.name) == (("replication slot", slot) if slot else ("standby", ""))
    assert snapshot.pid is not None and snapshot.seconds is None


def _standby_of(primary: PostgresServer, folder: Path, slot: str) -> PostgresServer:
    data = folder / "standby"
    primary.halt()
    shutil.copytree(folder / "primary", data)
    (data / "standby.signal").touch()
    for path in (data, *data.rglob("*")):
        unprivileged_account().own(path)
    primary.start()
    return replicated_server(
        data,
        folder,
        primary_conninfo=f"host={primary.folder} user=postgres",
        primary_slot_name=slot,
        hot_standby_feedback="on",
        wal_receiver_status_interval="1s",
    )
