"""The filters of a job list: what they find, what they offer, and what a typed address means."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from pleme_redis_django.admin import filters, job_list
from pleme_redis_django.admin.search.conditions import first_id
from pleme_redis_django.admin.search.window import Window
from pleme_redis_django.models import JobStatus
from tests.admin.conftest import LIST, listed_ids
from tests.rows import ago, make_failed_job, make_job

pytestmark = pytest.mark.django_db

ROOT = "/admin/pleme_redis_django/dashboard/"


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.parametrize("status", ["QUEUED", "BLOCKED", "PENDING"])
def test_the_oldest_jobs_that_wait_come_first_however_many_are_newer(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    newest = make_job(status=status)
    late = make_job(run_after=ago(3600), status=status)
    later = make_job(run_after=ago(1800), status=status)
    monkeypatch.setattr(job_list, "newest_jobs", lambda *_: Window(jobs=1, before_id=later.pk))
    page = admin_client.get(f"{LIST}?status__exact={status}&order=oldest&queue=default")
    assert [job.pk for job in page.context["cl"].result_list] == [late.pk, later.pk, newest.pk]
    assert "Newest first" in page.content.decode()
    assert "order=oldest" in text_of(admin_client, ROOT)


def test_a_typed_status_is_understood(admin_client: Client) -> None:
    failed = make_failed_job()
    make_job()
    page = admin_client.get(f"{LIST}?status=failed", follow=True)
    assert [job.pk for job in page.context["cl"].result_list] == [failed.pk]


def test_the_chosen_value_is_offered_however_many_there_are(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "CHOICES_LIMIT", 2)
    for name in ("a", "b", "c", "z"):
        make_job(queue_name=name)
    page = admin_client.get(f"{LIST}?queue=z")
    [queues] = [spec for spec in page.context["cl"].filter_specs if spec.parameter_name == "queue"]
    assert [value for value, _shown in queues.lookup_choices] == ["z", "a"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?status__exact=FAILED", {"failed"}),
        ("?status__exact=BLOCKED", {"blocked"}),
        ("?queue=email", {"email"}),
        ("?type=shop.import", {"import"}),
        ("?product=novaskyn", {"novaskyn"}),
        ("?queue=nothing", set()),
        ("?q=shop.im", {"import"}),
        ("?q=import", set()),
    ],
)
def test_filters_and_search_find_what_they_name(admin_client: Client, query: str, found: set[str]) -> None:
    jobs = {
        "failed": make_failed_job(),
        "blocked": make_job(status=JobStatus.BLOCKED),
        "email": make_job(queue_name="email"),
        "import": make_job(job_type="shop.import"),
        "novaskyn": make_job(product="novaskyn"),
    }
    assert listed_ids(admin_client, query) == {str(jobs[name].pk) for name in found}


def test_jobs_are_filtered_by_the_time_in_their_ids(admin_client: Client) -> None:
    young = make_job()
    make_job(id=first_id(timezone.now() - timedelta(hours=2)))
    assert listed_ids(admin_client, "?created=1h") == {str(young.pk)}
    assert len(listed_ids(admin_client, "?created=24h")) == 2


def test_the_filters_offer_what_recent_jobs_hold_and_what_is_chosen(admin_client: Client) -> None:
    make_job(queue_name="email")
    make_job(queue_name="images")
    page = admin_client.get(LIST + "?queue=gone").content.decode()
    assert all(f"?queue={name}" in page for name in ("email", "images", "gone"))


def test_jobs_are_found_by_the_gate_at_which_they_wait(admin_client: Client) -> None:
    gates = ("k:acme:stripe", "r:k:acme:stripe", "k:acme:stripe:eu", "k:blog:stripe", "o:acme:stripe")
    jobs = [make_job(status=JobStatus.BLOCKED, product="acme", blocked_on=gate) for gate in gates]
    assert listed_ids(admin_client, "?gate=k:acme:stripe") == {str(job.pk) for job in jobs[:2]}
    page = text_of(admin_client, f"{LIST}?status__exact=BLOCKED&order=oldest&gate=k:acme:stripe")
    assert "By where it waits" in page and "the key stripe of acme" in page
    assert listed_ids(admin_client, "?gate=o:acme:stripe") == {str(jobs[4].pk)}
    assert "By where it waits" not in text_of(admin_client, LIST)
    assert "<img>" not in text_of(admin_client, f"{LIST}?gate=k:acme:<img>")
