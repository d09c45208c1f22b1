"""The form of a schedule: what it stores, and what it refuses."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from pleme_redis_django.models import Schedule
from tests.admin.schedules.rows import FORM, LIST, make, text_of

pytestmark = pytest.mark.django_db


def test_a_schedule_is_made(operator: Client) -> None:
    assert operator.post(f"{LIST}add/", FORM).status_code == 302
    schedule = Schedule.objects.get()
    assert (schedule.source, schedule.product, schedule.name) == ("admin", "acme", "nightly")
    assert schedule.parameters == {"left": 1, "right": 2}
    assert schedule.next_tick_at is not None
    assert schedule.next_tick_at > timezone.now()


def test_an_edit_enables_a_schedule_that_could_not_be_read(operator: Client) -> None:
    schedule = make(enabled=False, disabled_reason="why", next_tick_at=None)
    page = text_of(operator, f"{LIST}{schedule.pk}/change/")
    assert "Disabled: why" in page
    assert (
        operator.post(
            f"{LIST}{schedule.pk}/change/", FORM | {"interval_seconds": "90", "cron": ""}
        ).status_code
        == 302
    )
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.disabled_reason, schedule.interval_seconds) == (True, "", 90)
    assert schedule.next_tick_at is not None


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"cron": "0 0 30 2 *"}, "cron", "Bad day-of-month"),
        ({"cron": "* " * 60}, "cron", "60 fields"),
        ({"interval_seconds": "60"}, None, "either a cron expression, or an interval"),
        ({"cron": "", "interval_seconds": "0"}, None, "an interval of 1 to 31,622,400"),
        (
            {"cron": "", "interval_seconds": "1000000000000"},
            "interval_seconds",
            "less than or equal to 2147483647",
        ),
        ({"cron": "", "interval_seconds": "2147483647"}, None, "an interval of 1 to 31,622,400"),
        ({"timezone": "Mars/Olympus"}, "timezone", "The zone is"),
        ({"starts_at_0": "9999-01-02", "starts_at_1": "00:00"}, "starts_at", "years 1970 to 2999"),
        ({"parameters": '{"left": 1}'}, "parameters", "missing"),
        ({"parameters": "[1]"}, "parameters", "Accepted: a JSON object"),
        ({"parameters": "{"}, "parameters", "valid JSON"),
        ({"job_type": "os.system"}, "job_type", "not one of the available choices"),
        ({"product": "No Product"}, "product", "not a valid product name"),
        ({"jitter_seconds": "100000"}, "jitter_seconds", "jitter_seconds is 100000"),
        ({"catch_up_limit": "0"}, "catch_up_limit", "catch_up_limit is 0"),
        ({"priority": "101"}, "priority", "priority is 101"),
        ({"queue_name": "no * queue"}, None, "queue"),
    ],
)
def test_what_the_form_refuses(
    operator: Client, changes: dict[str, str], field: str | None, said: str
) -> None:
    answer = operator.post(f"{LIST}add/", FORM | changes)
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert said in " ".join(errors[field or "__all__"])
    assert not Schedule.objects.exists()


def test_two_schedules_of_a_product_have_two_names(operator: Client) -> None:
    operator.post(f"{LIST}add/", FORM)
    answer = operator.post(f"{LIST}add/", FORM)
    assert "already exists" in answer.content.decode()
    assert operator.post(f"{LIST}add/", FORM | {"product": "globex"}).status_code == 302


def test_a_schedule_of_another_product_cannot_be_made_or_moved_there(acme_operator: Client) -> None:
    answer = acme_operator.post(f"{LIST}add/", FORM | {"product": "globex"})
    assert "globex is not one of your products. Accepted: acme." in answer.content.decode()
    schedule = make()
    acme_operator.post(f"{LIST}{schedule.pk}/change/", FORM | {"product": "globex"})
    schedule.refresh_from_db()
    assert schedule.product == "acme"
