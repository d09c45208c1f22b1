"""The storage page: what it shows, what it warns of, and to whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from pleme_redis_django import JobStatus
from pleme_redis_django.models import Job
from pleme_redis_django.monitoring import storage, storage_warnings
from pleme_redis_django.orm_store.fairness.index import FairIndex
from tests.admin.conftest import StaffLogin
from tests.database_sessions import REPEATABLE, TABLE, another_session, snapshot_of
from tests.orm_store.test_retention import ended

PAGE = "/admin/pleme_redis_django/dashboard/storage/"


def only_acme(_user: Any) -> list[str]:
    return ["acme"]


def text_of(client: Client) -> str:
    return client.get(PAGE).content.decode()


@pytest.mark.django_db
def test_a_fresh_table_is_well_and_retention_is_in_words(admin_client: Client, settings: Any) -> None:
    retention = {"FAILED": None, "QUEUES": {"mail": {"COMPLETED": timedelta(hours=6)}}}
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"RETENTION": retention}
    ended(JobStatus.COMPLETED, 8)
    text = text_of(admin_client)
    assert "All is well" in text and "none runs" in text
    assert "COMPLETED 7 d, CANCELLED 30 d, FAILED for ever" in text
    assert "Queue mail" in text and "COMPLETED 6 h" in text
    assert "1 for over an hour" in text


@pytest.mark.django_db
def test_the_index_of_fair_pools_is_shown(admin_client: Client) -> None:
    assert "fair" not in text_of(admin_client)
    FairIndex(model=Job, using="default", by_queue=True).make()
    assert "for fair pools" in (text := text_of(admin_client)) and f"{TABLE}_fairq" in text


@pytest.mark.django_db(transaction=True)
def test_an_old_snapshot_is_warned_of_with_its_text_escaped(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_warnings, "OLD_SNAPSHOT_SECONDS", 0.0)
    with another_session(REPEATABLE, "SELECT '<b>\u202eme</b>'", application="<i>report</i>") as session:
        pid = snapshot_of(session).pid
        text = text_of(admin_client)
    assert f"SELECT pg_terminate_backend({pid})" in text
    assert "&lt;i&gt;report&lt;/i&gt;" in text and "<i>report" not in text
    assert "&lt;b&gt;" in text and "<b>\u202e" not in text and "\u202e" not in text


@pytest.mark.django_db(transaction=True)
def test_a_locked_table_does_not_hang_the_page(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "STATEMENT_SECONDS", 0.2)
    with another_session(f"LOCK TABLE {TABLE}"):
        text = text_of(admin_client)
    assert "did not answer in time" in text and "not counted in time" in text


@pytest.mark.django_db(transaction=True)
def test_who_may_not_see_every_product_sees_no_session(staff: StaffLogin, settings: Any) -> None:
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"DASHBOARD_PRODUCTS": f"{__name__}.only_acme"}
    with another_session(REPEATABLE, "SELECT 'a secret'", application="psql-of-ana"):
        text = text_of(staff("view_job"))
    assert "only users who may see every product" in text
    assert "a secret" not in text and "psql-of-ana" not in text and "Dead rows" not in text


@pytest.mark.django_db
def test_who_may_not_see_jobs_is_refused(staff: StaffLogin) -> None:
    assert staff().get(PAGE).status_code == 403


@pytest.mark.django_db
def test_a_product_that_is_chosen_does_not_hide_the_page(admin_client: Client) -> None:
    assert "Dead rows" in admin_client.get(PAGE, {"product": "acme"}).content.decode()


@pytest.mark.django_db(databases=["default", "sqlite"])
def test_another_database_says_that_it_tells_nothing(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = storage.storage_report

    def on_sqlite(model: Any) -> Any:
        return real(model, using="sqlite")

    monkeypatch.setattr("pleme_redis_django.admin.dashboard.storage_page.storage_report", on_sqlite)
    text = text_of(admin_client)
    assert "This database (sqlite) tells nothing of its storage" in text
    assert "Past their retention" in text and "Oldest snapshot" not in text
