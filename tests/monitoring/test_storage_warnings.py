"""What is wrong with storage, in words: when it is said, and what is to be done."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from django.db import connection

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.models import Job
from pleme_redis_django.monitoring import storage_warnings as warnings
from pleme_redis_django.monitoring.snapshot import snapshot as dashboard_snapshot
from pleme_redis_django.monitoring.storage import (
    OldestSnapshot,
    OverdueJobs,
    RunningVacuum,
    StorageReport,
    TableStorage,
)
from pleme_redis_django.monitoring.storage_warnings import described, storage_reasons, storage_warnings
from tests.database_sessions import REPEATABLE, another_session, snapshot_of
from tests.rows import make_job

TABLE = TableStorage(
    table_bytes=10_000,
    index_bytes=5_000,
    live_rows=800_000,
    dead_rows=10,
    vacuumed_at=None,
    analyzed_at=None,
    vacuum=None,
    has_stock_settings=False,
    is_autovacuumed=True,
)
SNAPSHOT = OldestSnapshot(
    kind="session",
    name="",
    database="shop",
    pid=4242,
    user="app",
    application="nightly",
    state="idle in transaction",
    seconds=720.0,
    transactions=90_000,
    query="SELECT 1",
    is_hidden=False,
)
WELL = StorageReport(
    model="app.job",
    vendor="postgresql",
    table=TABLE,
    snapshot=dataclasses.replace(SNAPSHOT, seconds=3.0),
    overdue=OverdueJobs(jobs=40, late=0, is_capped=False),
)


def table(**changes: Any) -> StorageReport:
    return dataclasses.replace(WELL, table=dataclasses.replace(TABLE, **changes))


def held_by(**changes: Any) -> StorageReport:
    return dataclasses.replace(WELL, snapshot=dataclasses.replace(SNAPSHOT, **changes))


def test_nothing_is_said_where_nothing_is_wrong() -> None:
    assert storage_warnings(WELL) == []
    assert storage_warnings(dataclasses.replace(WELL, table=None, snapshot=None, overdue=None)) == []


def test_an_old_session_is_named_with_what_ends_it() -> None:
    (warning,) = storage_warnings(held_by())
    assert 'session 4242 (user app, application "nightly"), idle in transaction' in warning.text
    assert "for 12 m" in warning.text
    assert warning.statement == "SELECT pg_terminate_backend(4242)"


@pytest.mark.parametrize(
    ("changes", "statement"),
    [
        ({"kind": "prepared transaction", "name": "it's", "pid": None}, "ROLLBACK PREPARED 'it''s'"),
        ({"kind": "replication slot", "name": "dr_site"}, "SELECT pg_drop_replication_slot('dr_site')"),
        ({"kind": "standby"}, ""),
    ],
)
def test_each_kind_of_snapshot_has_its_own_end(changes: dict[str, Any], statement: str) -> None:
    (warning,) = storage_warnings(held_by(**changes))
    assert warning.statement == statement and warning.fix


def test_what_tells_no_age_is_old_after_a_million_transactions() -> None:
    assert storage_warnings(held_by(seconds=None)) == []
    (warning,) = storage_warnings(held_by(seconds=None, transactions=2_000_000))
    assert "for 2,000,000 transactions" in warning.text


def test_text_of_others_is_without_direction_marks() -> None:
    assert "\u202e" not in described(dataclasses.replace(SNAPSHOT, application="\u202egnp.exe"))


def test_dead_rows_that_pile_up_are_said_with_their_cause() -> None:
    many = {"dead_rows": 200_000}
    (warning,) = storage_warnings(table(**many))
    assert "200,000, 20% of the table" in warning.text and "autovacuum_max_workers" in warning.fix
    vacuum = RunningVacuum(pid=1, phase="scanning heap", done=0.5)
    assert "A vacuum is at work" in storage_warnings(table(**many, vacuum=vacuum))[0].fix
    assert "settings" in storage_warnings(table(**many, has_stock_settings=True))[0].fix
    held = dataclasses.replace(table(**many), snapshot=SNAPSHOT)
    assert [each.code for each in storage_warnings(held)] == ["snapshot", "dead_rows"]
    assert "old snapshot holds them" in storage_warnings(held)[1].fix


def test_stock_settings_and_a_switched_off_autovacuum_are_said() -> None:
    assert [each.code for each in storage_warnings(table(has_stock_settings=True))] == ["settings"]
    assert [each.code for each in storage_warnings(table(is_autovacuumed=False))] == ["autovacuum"]


def test_retention_lags_where_jobs_should_have_gone_an_hour_ago() -> None:
    def said(**fields: Any) -> list[str]:
        return [
            each.text for each in storage_warnings(dataclasses.replace(WELL, overdue=OverdueJobs(**fields)))
        ]

    assert said(jobs=90_000, late=999, is_capped=False) == []
    (text,) = said(jobs=90_000, late=5_000, is_capped=False)
    assert text.startswith("Retention lags: 5,000 finished jobs")
    (text,) = said(jobs=100_000, late=100_000, is_capped=True)
    assert "more than 100,000 finished jobs" in text


def test_what_did_not_answer_is_said() -> None:
    (warning,) = storage_warnings(dataclasses.replace(WELL, unanswered=("size, rows and vacuums",)))
    assert "size, rows and vacuums" in warning.text


@pytest.mark.django_db(transaction=True)
def test_the_health_names_an_old_snapshot_that_slows_claims(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(warnings, "SLOW_DEAD_ROWS", 1)
    monkeypatch.setattr(warnings, "_asked", {})
    with another_session(REPEATABLE, "SELECT 1") as session:
        make_job().delete()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute(f"ANALYZE {Job._meta.db_table}")
        with django_assert_num_queries(1):
            assert storage_reasons(EVERY_PRODUCT, Job) == []  # young
        with django_assert_num_queries(0):
            storage_reasons(EVERY_PRODUCT, Job)
        monkeypatch.setattr(warnings, "OLD_SNAPSHOT_SECONDS", 0.0)
        warnings._asked.clear()
        snapshot_of(session)
        (reason,) = storage_reasons(EVERY_PRODUCT, Job)
        assert f"session {session.connection.info.backend_pid}" in reason.text
        assert reason.page == "storage" and "dead row" in reason.text
        assert reason in dashboard_snapshot().health.reasons
        assert storage_reasons(ProductScope(products=frozenset(["acme"])), Job) == []
        monkeypatch.setattr(warnings, "SLOW_DEAD_ROWS", 1_000_000)
        warnings._asked.clear()
        assert storage_reasons(EVERY_PRODUCT, Job) == []
