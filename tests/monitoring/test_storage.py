"""Figures of storage: what is told of a table, what holds back its vacuum, and what is past its retention."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from pleme_redis_django.models import Job, JobStatus
from pleme_redis_django.monitoring import storage
from pleme_redis_django.monitoring.storage import StorageReport, astorage_report, storage_report
from pleme_redis_django.orm_store.fairness.index import FairIndex
from pleme_redis_django.storage import STORAGE_PARAMETERS
from tests.database_sessions import REPEATABLE, TABLE, a_slow_vacuum, another_session, snapshot_of
from tests.orm_store.test_retention import ended
from tests.rows import BACKENDS, make_job
from tests.waiting import wait_for, wait_until

transactional = pytest.mark.django_db(transaction=True)


@pytest.mark.django_db(databases=BACKENDS)
def test_sqlite_tells_nothing_but_what_is_past_its_retention() -> None:
    ended(JobStatus.COMPLETED, 8, "sqlite")
    report = storage_report(using="sqlite")
    assert not report.is_known and report.table is None and report.snapshot is None
    assert report.overdue is not None and report.overdue.jobs == 1


@transactional
def test_the_size_and_the_dead_rows_of_a_table_are_told() -> None:
    for _ in range(3):
        make_job()
    Job.objects.all().delete()
    make_job()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(f"ANALYZE {TABLE}")
    table = storage_report().table
    assert table is not None and table.live_rows == 1
    assert table.dead_rows >= 3 and table.dead_share >= 0.75
    assert table.table_bytes > 0 and table.index_bytes > 0
    assert table.analyzed_at is not None and table.vacuum is None


@pytest.mark.django_db
def test_settings_are_stock_or_not_and_autovacuum_is_on_or_off() -> None:
    assert (told := storage_report().table) and not told.has_stock_settings and told.is_autovacuumed
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} RESET ({', '.join(STORAGE_PARAMETERS)})")
        cursor.execute(f"ALTER TABLE {TABLE} SET (autovacuum_enabled = off)")
    assert (told := storage_report().table) and told.has_stock_settings and not told.is_autovacuumed


@pytest.mark.django_db
def test_the_index_of_fair_pools_is_named_with_its_size() -> None:
    assert (told := storage_report().table) and told.fair_indexes == ()
    fair = FairIndex(model=Job, using="default", by_queue=False, aging_seconds_per_point=60)
    fair.make()
    told = storage_report().table
    assert told
    (index,) = told.fair_indexes
    assert index.name == fair.name and 0 < index.bytes < told.index_bytes


@transactional
def test_an_idle_transaction_with_a_snapshot_is_named_with_its_query() -> None:
    with another_session(REPEATABLE, "SELECT 'held here'", application="nightly <report>") as session:
        make_job()
        snapshot = snapshot_of(session)
        assert storage_report().snapshot is not None
        assert (snapshot.kind, snapshot.state) == ("session", "idle in transaction")
        assert snapshot.application == "nightly <report>" and snapshot.user
        assert snapshot.query == "SELECT 'held here'" and not snapshot.is_hidden
        assert snapshot.transactions >= 1 and snapshot.seconds is not None
    wait_until(
        lambda: (later := storage_report().snapshot) is None or later.pid != snapshot.pid, "it is gone"
    )


@transactional
def test_of_a_long_query_the_first_two_hundred_characters_are_told() -> None:
    with another_session(REPEATABLE, f"SELECT '{'x' * 500}'") as session:
        assert len(snapshot_of(session).query) == 200


@pytest.fixture
def plain_role() -> Iterator[str]:
    """A role that may read the job table, and see its own sessions alone."""
    role = f"pleme_plain_reader_{os.getpid()}"  # roles are the server's, which workers of the suite share
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role}")
        cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        try:
            yield role
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute(f"DROP OWNED BY {role}")
            cursor.execute(f"DROP ROLE {role}")


@transactional
def test_what_the_role_may_not_see_is_said_so(plain_role: str) -> None:
    with another_session(REPEATABLE, "SELECT 'a secret'") as session:
        with connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {plain_role}")
        snapshot = snapshot_of(session)
    assert snapshot.is_hidden and snapshot.query == "" and snapshot.seconds is None


def running_vacuum() -> Any:
    table = storage_report().table
    return table and table.vacuum


@transactional
def test_a_vacuum_is_seen_while_it_runs_and_holds_nothing_back(plain_role: str) -> None:
    with a_slow_vacuum():
        vacuum = wait_for(lambda: (seen := running_vacuum()) and seen.done is not None and seen, "a vacuum")
        assert vacuum.phase == "scanning heap" and 0 <= vacuum.done < 1
        assert (held := storage_report().snapshot) is None or held.pid != vacuum.pid
        with connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {plain_role}")
        seen = running_vacuum()  # by its lock, since the role may not see what it does
        assert seen.pid == vacuum.pid and (seen.phase, seen.done) == ("", None)


@transactional
def test_a_locked_table_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "STATEMENT_SECONDS", 0.2)
    with another_session(f"LOCK TABLE {TABLE}"):
        report = storage_report()
    assert report.table is None and report.overdue is None and report.snapshot is not None
    assert report.unanswered == ("size, rows and vacuums", "jobs past their retention")


@pytest.mark.django_db
def test_the_statements_of_the_callers_transaction_keep_their_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '77s'")
        storage_report()
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("77s",)


@pytest.mark.django_db
def test_jobs_past_their_retention_are_counted_up_to_a_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "OVERDUE_COUNTED", 2)
    for days in (7.001, 6.9, 8):
        ended(JobStatus.COMPLETED, days)

    def told(report: StorageReport) -> tuple[int, int, bool]:
        assert report.overdue is not None
        return report.overdue.jobs, report.overdue.late, report.overdue.is_capped

    assert told(storage_report()) == (2, 1, False)
    ended(JobStatus.COMPLETED, 9)
    assert told(storage_report()) == (2, 2, True)


@pytest.mark.django_db(transaction=True)
async def test_the_async_twin_returns_the_same() -> None:
    assert (await astorage_report()).model == "pleme_redis_django.job"
