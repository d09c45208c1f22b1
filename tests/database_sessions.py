"""Other sessions of the database: one whose transaction stays open, and one that vacuums the job table slowly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.dialects.postgresql.oldest_snapshot import oldest_snapshot
from pleme_redis_django.orm_store.table_storage import OldestSnapshot
from tests.rows import make_jobs
from tests.waiting import wait_for

TABLE = Job._meta.db_table
REPEATABLE = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"


@contextmanager
def another_session(*statements: str, application: str = "psql") -> Iterator[Any]:
    """Yield a second session in whose transaction the statements were executed."""
    session = connection.copy()
    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", [application])
            cursor.execute("BEGIN")
            for statement in statements:
                cursor.execute(statement)
            yield session
    finally:
        session.close()


@contextmanager
def a_slow_vacuum() -> Iterator[None]:
    """Vacuum the job table so slowly that it is seen; cancelled at the end."""
    make_jobs(2_000, parameters={"text": "x" * 900})
    Job.objects.filter(priority=0).update(priority=1)
    pid: list[int] = []
    connected = threading.Event()

    def vacuum() -> None:
        session = connection.copy()
        with session.cursor() as cursor:
            pid.append(session.connection.info.backend_pid)
            cursor.execute("SET vacuum_cost_delay = '100ms'")
            cursor.execute("SET vacuum_cost_limit = 1")
            connected.set()
            try:
                cursor.execute(f"VACUUM {TABLE}")
            except Exception:
                return
            finally:
                session.close()

    thread = threading.Thread(target=vacuum)
    thread.start()
    try:
        assert connected.wait(20)
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            cursor.execute("SELECT pg_cancel_backend(%s)", pid)
        thread.join()


def snapshot_of(*sessions: Any) -> OldestSnapshot:
    """Return the oldest snapshot once it is that of one of the sessions.

    Other workers of the suite write on the same server, and theirs are older for a moment.
    """
    pids = {session.connection.info.backend_pid for session in sessions}

    def named() -> OldestSnapshot | None:
        snapshot = oldest_snapshot("default")
        return snapshot if snapshot is not None and snapshot.pid in pids else None

    found = wait_for(named, "the session has the oldest snapshot")
    assert found is not None
    return found
