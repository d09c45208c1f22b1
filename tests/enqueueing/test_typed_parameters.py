"""Typed parameters through the database: what rows hold, what runs of them, and what is refused on the way."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test.utils import override_settings

from pleme_redis_django import InvalidParameters, Job, enqueue_many
from pleme_redis_django.admin.schedule_form import ScheduleForm
from pleme_redis_django.checks.job_annotations import check_annotations
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.registry import JobRegistry
from pleme_redis_django.models import Schedule
from pleme_redis_django.schedules.reading import read_schedule
from pleme_redis_django.testing import assert_enqueued, drain_jobs
from tests.workload.typed_jobs import Kind, Line, Receipt, acharge, average, charge, close_day

pytestmark = pytest.mark.django_db

ORDER = uuid4()
AT = datetime(2026, 1, 31, 10, 30, tzinfo=timezone(timedelta(hours=1)))
GIVEN: dict[str, Any] = {
    "order": ORDER,
    "at": AT,
    "kind": Kind.CARD,
    "lines": [Line(price=Decimal("9.50")), Line(price=Decimal("1.10"), count=3)],
}
STORED = {
    "order": str(ORDER),
    "at": "2026-01-31T09:30:00+00:00",
    "kind": "card",
    "lines": [{"price": "9.50", "count": 1}, {"price": "1.10", "count": 3}],
}
RECEIPT = Receipt(order=ORDER, at=AT, kind=Kind.CARD, total=Decimal("12.80"))


@pytest.mark.parametrize("definition", [charge, acharge])
def test_a_row_holds_plain_json_and_the_handler_gets_what_was_given(definition: Any) -> None:
    job = definition.enqueue(**GIVEN)
    assert job.parameters == STORED
    assert Job.objects.get(pk=job.pk).parameters == STORED
    (attempt,) = drain_jobs()
    assert attempt.job.results == {
        "order": str(ORDER),
        "total": "12.80",
        "at": "2026-01-31T09:30:00+00:00",
        "kind": "card",
    }
    assert definition.result_of(attempt.job) == RECEIPT
    assert definition.decoded_parameters(attempt.job.parameters) == GIVEN


def test_many_are_checked_one_by_one_and_none_is_stored_after_a_wrong_one() -> None:
    wrong = GIVEN | {"lines": [Line(price=Decimal(1)), Line(price=9.5)]}
    for enqueue in (charge.enqueue_many, lambda given: enqueue_many(charge.name, given)):
        with pytest.raises(InvalidParameters, match=r"lines\[1\]\.price is 9\.5 \(float\)"):
            enqueue([GIVEN, wrong])
    assert not Job.objects.exists()
    charge.enqueue_many([GIVEN, GIVEN])
    assert [job.parameters for job in Job.objects.all()] == [STORED, STORED]


def test_equal_values_are_the_same_to_a_unique_job() -> None:
    first = close_day.enqueue(date(2026, 1, 31), {Kind.CARD, Kind.CASH})
    assert close_day.enqueue(day=date(2026, 1, 31), kinds={Kind.CASH, Kind.CARD}).pk == first.pk
    assert close_day.enqueue(date(2026, 2, 1), {Kind.CARD, Kind.CASH}).pk != first.pk


def test_an_old_row_that_does_not_fit_fails_its_attempt_and_nothing_else() -> None:
    old = charge.enqueue(**GIVEN)
    Job.objects.filter(pk=old.pk).update(parameters=STORED | {"kind": "cheque"})
    other = charge.enqueue(**GIVEN)
    summary = drain_jobs()
    assert [job.pk for job in summary.failed] == [old.pk]
    assert [job.pk for job in summary.completed] == [other.pk]
    (failure,) = summary.failures
    assert failure.error_code == "invalid_parameters"
    assert (
        "the stored kind is 'cheque' (str), and its annotation is Kind. Accepted: 'card', 'cash'."
        in failure.message
    )


def test_assert_enqueued_takes_what_was_given() -> None:
    charge.enqueue(**GIVEN)
    assert_enqueued(charge, order=ORDER, kind=Kind.CARD, lines=GIVEN["lines"])
    assert_enqueued(charge, kind="card")
    assert_enqueued(charge, 0, kind=Kind.CASH)


def test_a_replaced_job_has_the_new_parameters_as_they_are_stored() -> None:
    unique = close_day.using(unique_key="k", on_conflict="replace")
    first = unique.enqueue(date(2026, 1, 31), set())
    assert unique.enqueue(date(2026, 2, 1), {Kind.CASH}).pk == first.pk
    first.refresh_from_db()
    assert first.parameters == {"day": "2026-02-01", "kinds": ["cash"]}


def test_no_number_that_json_lacks_is_stored() -> None:
    with pytest.raises(InvalidParameters, match=r"at rates\[1\] nan has no form in JSON"):
        average.enqueue([1.5, float("nan")])
    assert average.enqueue([1, 2.5]).parameters == {"rates": [1.0, 2.5]}
    average.enqueue([])
    summary = drain_jobs()
    assert [failure.error_code for failure in summary.failures] == ["invalid_result"]
    assert "nan has no form in JSON" in summary.failures[0].message


def schedule(**parameters: Any) -> Schedule:
    return Schedule(
        product="default", name="days", job_type=close_day.name, cron="0 3 * * *", parameters=parameters
    )


def test_the_parameters_of_a_schedule_are_read_as_stored_and_kept_in_one_form() -> None:
    read = read_schedule(schedule(day="20260131", kinds=["cash", "card"]))
    assert read.parameters == {"day": "2026-01-31", "kinds": ["card", "cash"]}
    with pytest.raises(InvalidParameters, match="the stored day is 'today'"):
        read_schedule(schedule(day="today", kinds=[]))


def test_the_form_of_a_schedule_refuses_what_the_annotation_does_not_accept() -> None:
    data = {
        "product": "default",
        "name": "days",
        "job_type": close_day.name,
        "parameters": '{"day": "2026-02-30", "kinds": []}',
        "cron": "0 3 * * *",
        "timezone": "UTC",
        "jitter_seconds": 0,
        "catch_up": "skip",
        "catch_up_limit": 1,
        "overlap": "skip",
    }
    form = ScheduleForm(data)
    assert not form.is_valid()
    assert "the stored day is '2026-02-30'" in form.errors["parameters"][0]


@override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin")
def test_without_use_tz_times_are_those_of_the_settings_zone() -> None:
    stored = charge.bind((), GIVEN | {"at": AT.astimezone(UTC)})
    assert stored["at"] == "2026-01-31T10:30:00"
    assert charge.decoded_parameters(stored)["at"] == datetime(2026, 1, 31, 10, 30)  # noqa: DTZ001 - naive


def test_with_use_tz_a_naive_time_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="at is the naive 2026-01-31T10:30:00, and USE_TZ is on"):
        charge.enqueue(**GIVEN | {"at": AT.replace(tzinfo=None)})


def of_unknown(kind: NotThere) -> None: ...  # noqa: F821 - that is the case


def test_a_check_names_annotations_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(check_annotations()) == []
    registry = JobRegistry()
    registry.add(definition_of(of_unknown))
    monkeypatch.setattr("pleme_redis_django.checks.job_annotations.registry", registry)
    (message,) = check_annotations()
    assert message.id == "pleme_redis_django.E045"
    assert "name 'NotThere' is not defined" in message.msg
