"""Schedules in the admin: those of the code are read alone, and each action has its permission."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from pleme_redis_django.models import Schedule
from tests.admin.conftest import StaffLogin
from tests.admin.schedules.rows import FORM, LIST, button, make, text_of

pytestmark = pytest.mark.django_db


def hide(_job: Any, field: str, value: Any) -> Any:
    return "(hidden)" if field == "parameters" else value


def test_a_schedule_of_the_code_is_read_and_never_written(operator: Client) -> None:
    schedule = make(source="code")
    page = text_of(operator, f"{LIST}{schedule.pk}/change/")
    assert "every 5 minutes, Berlin time" in page
    assert 'name="cron"' not in page
    assert operator.post(f"{LIST}{schedule.pk}/change/", FORM).status_code == 403
    assert operator.post(f"{LIST}{schedule.pk}/delete/", {"post": "yes"}).status_code == 403
    schedule.refresh_from_db()
    assert schedule.cron == "*/5 * * * *"


def test_schedules_of_the_code_are_not_deleted_by_an_action(operator: Client) -> None:
    kept, gone = make("kept", source="code"), make("gone")
    chosen = {"action": "delete_selected", "_selected_action": [kept.pk, gone.pk], "post": "yes"}
    operator.post(LIST, chosen)
    assert Schedule.objects.count() == 2
    operator.post(LIST, chosen | {"_selected_action": [gone.pk]})
    assert list(Schedule.objects.values_list("name", flat=True)) == ["kept"]


def test_each_action_has_its_permission(staff: StaffLogin) -> None:
    schedule = make()
    viewer = staff("view_schedule", "view_job")
    assert "every 5 minutes" in text_of(viewer, f"{LIST}{schedule.pk}/change/")
    assert viewer.post(f"{LIST}{schedule.pk}/change/", FORM).status_code == 403
    assert viewer.get(f"{LIST}add/").status_code == 403
    assert staff("run_schedule").post(button(schedule, "run")).status_code == 403
    assert staff("view_job", "run_schedule").post(button(schedule, "pause")).status_code == 403


def test_parameters_are_shown_as_those_of_a_job(staff: StaffLogin, settings: Any) -> None:
    schedule = make(parameters={"card": "4242"})
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"REDACT": f"{__name__}.hide"}
    page = text_of(staff("view_schedule"), f"{LIST}{schedule.pk}/change/")
    assert "4242" not in page
    assert "(hidden)" in page


@pytest.mark.parametrize(
    "lookup",
    ["parameters__card", "parameters__card__startswith", "parameters__icontains", "name__startswith"],
)
def test_no_lookup_reads_out_parameters(operator: Client, lookup: str) -> None:
    make(parameters={"card": "4242"})
    assert operator.get(LIST, {lookup: "4"}).status_code == 400


@pytest.mark.parametrize(
    ("lookup", "found"),
    [({"source__exact": "code"}, "of-code"), ({"enabled__exact": "0"}, "off"), ({"q": "of-"}, "of-code")],
)
def test_the_list_filters_by_what_it_offers(operator: Client, lookup: dict[str, str], found: str) -> None:
    make("of-code", source="code")
    make("off", enabled=False)
    rows = operator.get(LIST, lookup).context["cl"].result_list
    assert [row.name for row in rows] == [found]


def test_no_order_tells_of_parameters(operator: Client) -> None:
    for name, card in (("a", "2"), ("b", "1"), ("c", "3")):
        make(name, parameters={"card": card})
    for column in range(-9, 10):
        rows = [row.name for row in operator.get(LIST, {"o": str(column)}).context["cl"].result_list]
        assert rows in (["a", "b", "c"], ["c", "b", "a"])


def test_a_list_of_schedules(operator: Client) -> None:
    make()
    make("off", enabled=False, disabled_reason="why", cron="99 * * * *")
    page = text_of(operator, LIST)
    assert "every 5 minutes, Berlin time" in page
    assert "Disabled: why" in page
