"""The buttons of schedules: what they do, and what is kept of it."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from pleme_redis_django.models import Job, Schedule, ScheduleTick
from tests.admin.schedules.rows import LIST, PAGE, button, make, text_of

pytestmark = pytest.mark.django_db


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


def test_a_jobs_page_names_its_schedule_and_its_tick(operator: Client) -> None:
    schedule = make()
    operator.post(button(schedule, "run"))
    job = Job.objects.get()
    page = text_of(operator, f"/admin/pleme_redis_django/job/{job.pk}/change/")
    assert f"{LIST}{schedule.pk}/change/" in page
    assert "run by hand 20" in page
    ScheduleTick.objects.update(outcome="enqueued")
    assert "tick of 20" in text_of(operator, f"/admin/pleme_redis_django/job/{job.pk}/change/")
