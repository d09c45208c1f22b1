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
from pleme_redis_django.models import FlowGate, FlowLimit, Job, LimitKind, LimitSource
from pleme_redis_django.operations import limits as operations
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.flow import declared, known_limits
from pleme_redis_django.orm_store.flow.control import let_in_after
from pleme_redis_django.orm_store.flow.declared import DeclaredLimits
from pleme_redis_django.orm_store.flow.known_limits import KnownLimits
from pleme_redis_django.orm_store.job_table import JobTable
from tests.orm_store.flow.jobs import step
from tests.rows import BACKENDS, make_job

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


def test_the_row_of_a_rate_that_is_deleted_by_hand_is_made_again_and_counts(said: dict[Any, Any]) -> None:
    """Its tokens go with it: the bucket is full again, and what was given before counts no more."""
    rate = DeclaredLimit(kind="key", name="stripe", rate=1, per_seconds=86_400.0, burst=2)
    said[STRIPE] = rate, LimitSource.CODE
    store = OrmJobStore(Job)
    for _ in range(7):
        make_job(concurrency_key="stripe")
    assert claim(store) == 2
    operations.set_limit("key", "stripe", rate=1_000, changed_by="ann")
    operations.set_limit("key", "bank", max_running=1, changed_by="ann")
    FlowLimit.objects.all().delete()
    assert not FlowGate.objects.exists()
    Job.objects.filter(status="BLOCKED").update(status="QUEUED", blocked_on=None)
    assert claim(store) == 2, "one burst more, and no third"
    assert (row().name, row().rate, row().edited_at) == ("stripe", 1, None), "that of the code alone"
    assert FlowGate.objects.get().gate == "k:default:stripe"
    assert claim(store) == 0 and Job.objects.filter(status="BLOCKED").count() == 3


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


def test_who_lets_others_in_after_an_operation_changes_no_limit(said: dict[Any, Any]) -> None:
    """A web process may be of the release before; and the tokens of a rate would all be back."""
    said[STRIPE] = (of_code(1)[0], LimitSource.SETTINGS)
    said[LimitKind.TYPE, "tests.noop"] = of_code(2, "tests.noop", "type")
    job = make_job(concurrency_key="stripe", order_key="order:7")
    make_job()
    assert claim() == 2
    before = list(FlowLimit.objects.order_by("id").values())
    said[STRIPE] = (of_code(9)[0], LimitSource.SETTINGS)
    let_in_after(JobTable(Job, "default"), [job])
    assert list(FlowLimit.objects.order_by("id").values()) == before


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
    monkeypatch.setattr(DeclaredLimits, "known_types", lambda self: frozenset({"shop.pay"}))
    for _ in range(2):
        OrmJobStore(Job).release_overlooked()
        claim()
    assert not FlowLimit.objects.exists() and not Job.objects.filter(status="BLOCKED").exists()
    assert caplog.text.count("the limit of the type shop.pay is not declared any more") == 1


def test_a_key_of_code_that_holds_up_a_type_which_nobody_knows_ends_a_day_after_it_was_last_declared(
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


def nobody_has_declared_for(minutes: int) -> None:
    FlowLimit.objects.update(last_used_at=Now() - timedelta(minutes=minutes))


def waiting(**fields: Any) -> int:
    return Job.objects.filter(status="BLOCKED", **fields).count()


def go_on(store: OrmJobStore[Any]) -> int:
    """Do what each process does twice a minute, and claim; return how many were claimed."""
    store.look_after_limits()
    return claim(store)


HELD_UP: dict[str, Any] = {"job_type": step.name, "concurrency_key": "stripe"}


def test_a_row_is_kept_while_a_process_runs_that_declares_it(said: dict[Any, Any]) -> None:
    said[STRIPE] = of_code(1)
    store = OrmJobStore(Job)
    make_job(concurrency_key="stripe")
    claim(store)
    FlowLimit.objects.create(job_model="pleme_redis_django.job", kind="key", name="of another", source="code")
    nobody_has_declared_for(5 * 24 * 60)
    store.look_after_limits()
    pruned = KnownLimits(JobTable(Job, "default"), DeclaredLimits(Job)).prune()
    assert pruned == 1 and row().name == "stripe"


@pytest.mark.django_db(databases=["default", "sqlite"])
@pytest.mark.parametrize("using", BACKENDS)
def test_a_key_that_code_does_not_declare_any_more_holds_known_types_up_for_two_minutes(
    said: dict[Any, Any], caplog: pytest.LogCaptureFixture, using: str
) -> None:
    said[STRIPE] = of_code(1)
    before = OrmJobStore(Job, using=using)
    for number in range(3):
        make_job(using, **HELD_UP | {"concurrency_key": f"stripe:{number % 2}"})
    assert claim(before) == 2
    said.clear()
    stores = [OrmJobStore(Job, using=using), OrmJobStore(Job, using=using)]
    rows = FlowLimit.objects.using(using)
    rows.update(last_used_at=Now() - timedelta(minutes=1))
    assert [go_on(store) for store in stores] == [0, 0], "one who declares it may be alive"
    rows.update(last_used_at=Now() - timedelta(minutes=3))
    assert sum(go_on(store) for store in stores) == 1
    assert not rows.exists()
    assert caplog.text.count("the limit of the key stripe is not declared any more") == 1


@pytest.mark.parametrize("status", ["BLOCKED", "RUNNING"])
def test_a_key_of_which_jobs_of_another_service_wait_or_run_is_kept(
    said: dict[Any, Any], status: str
) -> None:
    said[STRIPE] = of_code(0)
    make_job(**HELD_UP)
    make_job(concurrency_key="stripe:of another")
    claim()
    Job.objects.exclude(job_type=step.name).update(status=status, blocked_on="k:default:stripe:of another")
    said.clear()
    nobody_has_declared_for(3)
    store = OrmJobStore(Job)
    assert go_on(store) == 0
    Job.objects.exclude(job_type=step.name).update(status="COMPLETED", blocked_on=None)
    assert go_on(store) == 1


def test_a_key_that_holds_nobody_up_keeps_its_row_and_its_tokens(said: dict[Any, Any]) -> None:
    said[STRIPE] = of_code(1)
    make_job(**HELD_UP)
    claim()
    make_job(**HELD_UP | {"concurrency_key": "stripes"})
    said.clear()
    said[LimitKind.KEY, "stripes"] = of_code(0, "stripes")
    nobody_has_declared_for(3)
    store = OrmJobStore(Job)
    assert go_on(store) == 0
    assert waiting(concurrency_key="stripes") == 1
    assert FlowLimit.objects.filter(name="stripe").exists()


def test_the_other_service_makes_the_row_of_its_key_again(said: dict[Any, Any]) -> None:
    said[STRIPE] = of_code(1)
    other = OrmJobStore(Job)
    make_job(**HELD_UP)
    make_job(**HELD_UP)
    claim(other)
    declared_there = dict(said)
    said.clear()
    nobody_has_declared_for(3)
    store = OrmJobStore(Job)
    assert go_on(store) == 1
    said |= declared_there
    make_job(job_type="tests.of_another_service", concurrency_key="stripe")
    other = OrmJobStore(Job)
    assert claim(other) == 0, "what runs of the key counts"
    assert row().max_running == 1 and waiting() == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [((LimitKind.TYPE, step.name), LimitSource.CODE), (STRIPE, LimitSource.SETTINGS)],
    ids=["a known type", "the settings"],
)
def test_a_limit_that_a_process_of_the_release_before_has_made_again_ends_after_it(
    said: dict[Any, Any], caplog: pytest.LogCaptureFixture, name: Any, source: LimitSource
) -> None:
    kind, text = name
    said[name] = (of_code(0, text, kind)[0], source)
    make_job(**HELD_UP)
    declared_before, before = dict(said), OrmJobStore(Job)
    claim(before)
    said.clear()
    store = OrmJobStore(Job)
    claim(store)
    store.release_overlooked()
    assert claim(store) == 1, "it has ended at the start of the process"
    make_job(**HELD_UP)
    said |= declared_before
    claim(OrmJobStore(Job))
    said.clear()
    assert go_on(store) == 0, "one who declares it may be alive"
    nobody_has_declared_for(3)
    assert go_on(store) == 1
    assert caplog.text.count("is not declared any more") == 2


def test_what_waits_for_tokens_of_a_key_that_nobody_declares_goes_on(said: dict[Any, Any]) -> None:
    rate = DeclaredLimit(kind="key", name="stripe", rate=1, per_seconds=86_400.0, burst=1)
    said[STRIPE] = (rate, LimitSource.CODE)
    for _ in range(3):
        make_job(**HELD_UP)
    assert claim() == 1
    said.clear()
    nobody_has_declared_for(3)
    assert go_on(OrmJobStore(Job)) == 2


def test_a_limit_that_an_operator_has_edited_does_not_end_by_itself(said: dict[Any, Any]) -> None:
    said[STRIPE] = of_code(1)
    make_job(**HELD_UP)
    claim()
    operations.set_limit("key", "stripe", max_running=0)
    make_job(**HELD_UP)
    said.clear()
    nobody_has_declared_for(3)
    store = OrmJobStore(Job)
    assert go_on(store) == 0
    assert row().max_running == 0
