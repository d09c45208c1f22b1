"""The page of schedules: what each user sees of them."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from pleme_redis_django.models import Job, ScheduleTick
from tests.admin.conftest import StaffLogin
from tests.admin.schedules.rows import FORM, LIST, PAGE, button, make, text_of
from tests.rows import make_job

pytestmark = pytest.mark.django_db


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


def test_the_tab_may_be_typed_as_it_is_titled(operator: Client) -> None:
    assert operator.get(PAGE.replace("schedule/", "schedules/")).headers["Location"] == "../schedule/"


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


def test_what_people_typed_is_escaped(operator: Client) -> None:
    name = "<script>alert(1)</script>\u202egnp"
    schedule = make(name, pause_reason="<b>", paused_at=timezone.now())
    for address in (PAGE, LIST, f"{LIST}{schedule.pk}/change/"):
        assert "<script>alert(1)" not in text_of(operator, address)
    assert "\u202e" not in text_of(operator)
