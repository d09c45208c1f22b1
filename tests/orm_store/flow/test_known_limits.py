"""Rows of limits: how they come about, whose number counts, and when they end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models.functions import Now

from pleme_redis_django.jobs.definitions.limits import DeclaredLimit
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import FlowLimit, Job, LimitKind, LimitSource
from pleme_redis_django.operations import limits as operations
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.flow import declared, known_limits
from pleme_redis_django.orm_store.flow.declared import DeclaredLimits
from pleme_redis_django.orm_store.flow.known_limits import KnownLimits
from pleme_redis_django.orm_store.job_table import JobTable
from tests.rows import make_job

pytestmark = pytest.mark.django_db
Said = Mapping[tuple[LimitKind, str], tuple[DeclaredLimit, LimitSource]]
STRIPE = (LimitKind.KEY, "stripe")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[Any, Any]:
    """Return what code and settings declare, for a test to fill."""
    said: dict[Any, Any] = {}
    monkeypatch.setattr(known_limits, "REREAD_SECONDS", 0.0)
    monkeypatch.setattr(declared, "declared_limits", lambda model: dict(said))
    return said


def of_code(number: int, name: str = "stripe", kind: str = "key") -> tuple[DeclaredLimit, LimitSource]:
    return DeclaredLimit(kind=kind, name=name, max_running=number), LimitSource.CODE


def claim(store: OrmJobStore[Any] | None = None) -> int:
    return len((store or OrmJobStore(Job)).claim_jobs(str(uuid4()), 20, JobSelection()))


def row() -> FlowLimit:
    return FlowLimit.objects.get()


def test_the_first_job_that_meets_a_declared_limit_makes_its_row(said: dict[Any, Any]) -> None:
    said[STRIPE] = of_code(2)
    said[LimitKind.KEY, "other"] = of_code(2, "other")
    make_job()
    assert claim() == 1 and not FlowLimit.objects.exists()
    for _ in range(3):
        make_job(concurrency_key="stripe")
    assert claim() == 2
    assert (row().name, row().max_running, row().source, row().edited_at) == ("stripe", 2, "code", None)


def test_another_release_gives_the_row_its_number_once(said: dict[Any, Any]) -> None:
    said[STRIPE] = of_code(1)
    make_job(concurrency_key="stripe")
    before = OrmJobStore(Job)
    claim(before)
    said[STRIPE] = of_code(3)
    for _ in range(4):
        make_job(concurrency_key="stripe")
    assert claim() == 2 and row().max_running == 3
    claim(before)
    assert row().max_running == 3, "a process of the release before does not fight"


def test_an_operators_number_stays_and_goes_back_to_that_of_the_release(said: dict[Any, Any]) -> None:
    said[STRIPE] = of_code(1)
    make_job(concurrency_key="stripe")
    claim()
    operations.set_limit("key", "stripe", max_running=5, reason="sale", changed_by="ann")
    said[STRIPE] = of_code(3)
    claim()
    assert row().max_running == 5
    operations.reset_limit("key", "stripe")
    assert (row().max_running, row().edited_at) == (3, None)


def test_a_row_that_is_deleted_by_hand_is_made_again(said: dict[Any, Any]) -> None:
    said[STRIPE] = of_code(1)
    store = OrmJobStore(Job)
    for _ in range(3):
        make_job(concurrency_key="stripe")
    assert claim(store) == 1
    FlowLimit.objects.all().delete()
    Job.objects.filter(status="BLOCKED").update(status="QUEUED", blocked_on=None)
    assert claim(store) == 0 and row().max_running == 1


def test_a_row_that_goes_between_a_read_and_a_count_is_made_again(
    said: dict[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said[STRIPE] = of_code(1)
    store = OrmJobStore(Job)
    make_job(concurrency_key="stripe")
    claim(store)
    make_job(concurrency_key="stripe")
    monkeypatch.setattr(known_limits, "REREAD_SECONDS", 3600.0)
    FlowLimit.objects.all().delete()
    assert claim(store) == 0 and row().max_running == 1


def test_a_limit_of_settings_that_is_not_declared_any_more_ends_and_that_is_told_once(
    said: dict[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    said[STRIPE] = (of_code(1)[0], LimitSource.SETTINGS)
    for _ in range(3):
        make_job(concurrency_key="stripe")
    assert claim() == 1
    said.clear()
    with caplog.at_level(logging.WARNING):
        stores = [OrmJobStore(Job), OrmJobStore(Job)]
        for store in stores:
            store.release_overlooked()
            claim(store)
    assert not FlowLimit.objects.exists() and not Job.objects.filter(status="BLOCKED").exists()
    assert caplog.text.count("the limit of the key stripe is not declared any more") == 1


def test_a_limit_of_a_known_type_that_code_does_not_declare_any_more_ends_at_the_next_start(
    said: dict[Any, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said[LimitKind.TYPE, "shop.pay"] = of_code(0, "shop.pay", "type")
    for _ in range(3):
        make_job(job_type="shop.pay")
    assert claim() == 0
    said.clear()
    claim()
    assert Job.objects.filter(status="BLOCKED").count() == 3, (
        "the service that declares it may be another one"
    )
    monkeypatch.setattr(DeclaredLimits, "knows_type", lambda self, name: name == "shop.pay")
    for _ in range(2):
        OrmJobStore(Job).release_overlooked()
        claim()
    assert not FlowLimit.objects.exists() and not Job.objects.filter(status="BLOCKED").exists()
    assert caplog.text.count("the limit of the type shop.pay is not declared any more") == 1


def test_a_limit_of_a_key_that_code_does_not_declare_any_more_ends_a_day_after_its_last_use(
    said: dict[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    said[STRIPE] = of_code(0)
    for _ in range(3):
        make_job(concurrency_key="stripe")
    assert claim() == 0
    said.clear()
    store = OrmJobStore(Job)
    store.release_overlooked()
    assert claim(store) == 0
    known = KnownLimits(JobTable(Job, "default"), DeclaredLimits(Job))
    assert known.prune() == 0 and Job.objects.filter(status="BLOCKED").count() == 3
    operations.set_limit("key", "stripe", max_running=10**9)
    store.release_overlooked(at_once=True)
    assert claim(store) == 3, "an operator does not wait for the day"
    assert operations.reset_limit("key", "stripe")
    make_job(concurrency_key="stripe")
    assert claim(store) == 0
    FlowLimit.objects.update(last_used_at=Now() - timedelta(days=2))
    assert [known.prune(), known.prune()] == [1, 0]
    store.release_overlooked(at_once=True)
    assert claim(store) == 1
    assert caplog.text.count("the limit of the key stripe is not declared any more") == 1


@pytest.mark.parametrize("is_declared", [True, False])
def test_what_nobody_has_met_for_a_day_is_pruned_unless_it_was_edited(
    said: dict[Any, Any], is_declared: bool
) -> None:
    said[STRIPE] = of_code(1)
    make_job(concurrency_key="stripe")
    claim()
    operations.set_limit("key", "edited", max_running=1)
    if not is_declared:
        said.clear()
    known = KnownLimits(JobTable(Job, "default"), DeclaredLimits(Job))
    assert known.prune() == 0
    FlowLimit.objects.update(last_used_at=Now() - timedelta(days=2))
    assert known.prune() == 1
    assert row().name == "edited"


def test_who_meets_a_declared_limit_says_once_an_hour_that_it_is_used(said: dict[Any, Any]) -> None:
    said[STRIPE] = of_code(1)
    store = OrmJobStore(Job)
    make_job(concurrency_key="stripe")
    claim(store)
    FlowLimit.objects.update(last_used_at=Now() - timedelta(days=2))
    make_job(concurrency_key="stripe")
    claim(store)
    assert KnownLimits(JobTable(Job, "default"), DeclaredLimits(Job)).prune() == 1, (
        "within the hour it says nothing"
    )
    make_job(concurrency_key="stripe")
    claim(OrmJobStore(Job))
    FlowLimit.objects.update(last_used_at=Now() - timedelta(days=2))
    make_job(concurrency_key="stripe")
    claim(OrmJobStore(Job))
    assert KnownLimits(JobTable(Job, "default"), DeclaredLimits(Job)).prune() == 0
