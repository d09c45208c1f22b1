"""Schedules in the admin: what each user sees of them, what the buttons do, and what the form refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from pleme_redis_django.models import Job, Schedule, ScheduleTick
from tests.admin.conftest import StaffLogin
from tests.rows import make_job
from tests.workload.jobs import add, noop

pytestmark = pytest.mark.django_db
PAGE = "/admin/pleme_redis_django/dashboard/schedule/"
LIST = "/admin/pleme_redis_django/schedule/"
ALL = (
    "view_job",
    "view_schedule",
    "add_schedule",
    "change_schedule",
    "delete_schedule",
    "run_schedule",
    "pause_schedule",
)
FORM = {
    "product": "acme",
    "name": "nightly",
    "job_type": add.name,
    "parameters": '{"left": 1, "right": 2}',
    "cron": "0 3 * * *",
    "interval_seconds": "",
    "timezone": "Europe/Berlin",
    "starts_at_0": "",
    "starts_at_1": "",
    "ends_at_0": "",
    "ends_at_1": "",
    "jitter_seconds": "0",
    "catch_up": "skip",
    "catch_up_limit": "100",
    "overlap": "skip",
    "queue_name": "",
    "priority": "",
}


def only_acme(_user: object) -> list[str]:
    return ["acme"]


@pytest.fixture
def operator(staff: StaffLogin) -> Client:
    """A staff user with every permission about schedules."""
    return staff(*ALL)


@pytest.fixture
def acme_operator(operator: Client, settings: Any) -> Client:
    """The same, for the product acme alone."""
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"DASHBOARD_PRODUCTS": f"{__name__}.only_acme"}
    return operator


def make(name: str = "nightly", **fields: Any) -> Schedule:
    values = {"product": "acme", "job_type": noop.name, "cron": "*/5 * * * *", "timezone": "Europe/Berlin"}
    values |= {"next_tick_at": timezone.now() + timedelta(hours=1), **fields}
    return Schedule.objects.create(name=name, **values)


def text_of(client: Client, address: str = PAGE) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer
    return str(answer.content.decode())


def button(schedule: Schedule, action: str) -> str:
    return f"{PAGE}{schedule.pk}/{action}/"


# The dashboard's page


def test_none(operator: Client) -> None:
    assert "No schedules. Declare one at a job" in text_of(operator)


def test_a_schedule_in_words_with_its_ticks_and_its_buttons(operator: Client) -> None:
    schedule, job = make(), make_job(status="FAILED")
    ScheduleTick.objects.create(schedule=schedule, tick_at=timezone.now(), outcome="enqueued", job_id=job.id)
    make("off", enabled=False, disabled_reason="The zone is <Mars>.")
    page = text_of(operator)
    assert "every 5 minutes, Berlin time" in page
    assert 'data-kind="failed"' in page
    assert f"/admin/pleme_redis_django/job/{job.pk}/change/" in page
    assert "The zone is &lt;Mars&gt;." in page
    assert page.index(">off<") < page.index(">nightly<")
    for action in ("run", "pause"):
        assert button(schedule, action) in page


def test_who_may_only_look_has_no_buttons(staff: StaffLogin) -> None:
    schedule = make()
    client = staff("view_job")
    page = text_of(client)
    assert "nightly" in page
    for action in ("run", "pause", "resume"):
        assert button(schedule, action) not in page
        assert client.post(button(schedule, action)).status_code == 403
    assert LIST not in page


def test_run_now(operator: Client) -> None:
    schedule = make()
    answer = operator.post(button(schedule, "run"), {"product": "acme"}, follow=True)
    job = Job.objects.get()
    assert answer.redirect_chain == [(f"{PAGE}?product=acme", 302)]
    assert f"The job {job.pk} of nightly is enqueued." in answer.content.decode()
    assert ScheduleTick.objects.get().note == "staff-0"
    assert LogEntry.objects.get().change_message == f"Run now: job {job.pk}."


def test_pause_with_a_reason_and_resume(operator: Client) -> None:
    schedule = make()
    page = operator.post(
        button(schedule, "pause"), {"reason": "the <bank> is closed"}, follow=True
    ).content.decode()
    assert "Paused by staff-0: the &lt;bank&gt; is closed" in page
    assert button(schedule, "resume") in page
    operator.post(button(schedule, "resume"))
    schedule.refresh_from_db()
    assert schedule.paused_at is None
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "Paused: the <bank> is closed",
        "Resumed.",
    ]


def test_a_disabled_one_is_tried_again_and_says_what_is_wrong_still(operator: Client) -> None:
    schedule = make(enabled=False, disabled_reason="before", timezone="Nowhere")
    page = operator.post(button(schedule, "resume"), follow=True).content.decode()
    assert "still cannot be read: The zone is" in page
    Schedule.objects.update(timezone="UTC")
    assert "fires again" in operator.post(button(schedule, "resume"), follow=True).content.decode()


def test_buttons_take_a_post_alone(operator: Client) -> None:
    assert operator.get(button(make(), "run")).status_code == 405


def test_nothing_of_other_products_is_seen_or_touched(acme_operator: Client) -> None:
    make("ours")
    theirs = make("theirs-secret", product="globex")
    assert "theirs-secret" not in text_of(acme_operator)
    assert "globex" not in text_of(acme_operator)
    assert acme_operator.get(f"{PAGE}?product=globex").status_code == 403
    for action in ("run", "pause", "resume"):
        assert acme_operator.post(button(theirs, action)).status_code == 403
    assert "theirs-secret" not in text_of(acme_operator, LIST)
    assert acme_operator.get(f"{LIST}{theirs.pk}/change/").status_code == 302
    acme_operator.post(f"{LIST}{theirs.pk}/change/", FORM)
    acme_operator.post(f"{LIST}{theirs.pk}/delete/", {"post": "yes"})
    theirs.refresh_from_db()
    assert (theirs.product, theirs.paused_at, Job.objects.count()) == ("globex", None, 0)


def test_the_tab_may_be_typed_as_it_is_titled(operator: Client) -> None:
    assert operator.get(PAGE.replace("schedule/", "schedules/")).headers["Location"] == "../schedule/"


# The form


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
    assert "globex is none of your products. Accepted: acme." in answer.content.decode()
    schedule = make()
    acme_operator.post(f"{LIST}{schedule.pk}/change/", FORM | {"product": "globex"})
    schedule.refresh_from_db()
    assert schedule.product == "acme"


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


def hide(_job: Any, field: str, value: Any) -> Any:
    return "(hidden)" if field == "parameters" else value


def test_parameters_are_shown_as_those_of_a_job(staff: StaffLogin, settings: Any) -> None:
    schedule = make(parameters={"card": "4242"})
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"REDACT": f"{__name__}.hide"}
    page = text_of(staff("view_schedule"), f"{LIST}{schedule.pk}/change/")
    assert "4242" not in page
    assert "(hidden)" in page


def test_a_list_of_schedules(operator: Client) -> None:
    make()
    make("off", enabled=False, disabled_reason="why", cron="99 * * * *")
    page = text_of(operator, LIST)
    assert "every 5 minutes, Berlin time" in page
    assert "Disabled: why" in page


def test_what_people_typed_is_escaped(operator: Client) -> None:
    name = "<script>alert(1)</script>\u202egnp"
    schedule = make(name, pause_reason="<b>", paused_at=timezone.now())
    for address in (PAGE, LIST, f"{LIST}{schedule.pk}/change/"):
        assert "<script>alert(1)" not in text_of(operator, address)
    assert "\u202e" not in text_of(operator)


# A job's page


def test_a_jobs_page_names_its_schedule_and_its_tick(operator: Client) -> None:
    schedule = make()
    operator.post(button(schedule, "run"))
    job = Job.objects.get()
    page = text_of(operator, f"/admin/pleme_redis_django/job/{job.pk}/change/")
    assert f"{LIST}{schedule.pk}/change/" in page
    assert "run by hand 20" in page
    ScheduleTick.objects.update(outcome="enqueued")
    assert "tick of 20" in text_of(operator, f"/admin/pleme_redis_django/job/{job.pk}/change/")
