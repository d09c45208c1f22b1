"""The page of one job: exact, bounded and safe, whatever the job holds."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from pleme_redis_django.jobs.interface.job import JobStatus
from tests.rows import ago, make_attempt, make_failed_job, make_job

pytestmark = pytest.mark.django_db

MARKUP = "</pre><script>alert(1)</script>\" onload='x' {{ 7*7 }}"
HOSTILE = f"{MARKUP}\u202egnp.exe"


def page_of(client: Client, job: Any) -> str:
    response = client.get(f"/admin/{job._meta.app_label}/{job._meta.model_name}/{job.pk}/change/")
    assert response.status_code == 200
    return response.content.decode()


class InlineCode(HTMLParser):
    """Collects what a strict Content-Security-Policy would block."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        is_data = names.get("type") == "application/json"
        if tag == "style" or (tag == "script" and "src" not in names and not is_data):
            self.found.append(tag)
        self.found += [f"{tag} {name}" for name in names if name == "style" or name.startswith("on")]


@pytest.mark.parametrize(
    "fields",
    [
        {"parameters": {HOSTILE: HOSTILE}},
        {"error_message": HOSTILE, "error_details": {"error_code": HOSTILE}},
        {"job_type": MARKUP, "queue_name": MARKUP[:64], "product": MARKUP[:50]},
        {"progress": {"done": 1, "total": 2, "note": HOSTILE}},
        {"progress": {"done": "<script>", "total": HOSTILE}},
        {"metadata": {"a": HOSTILE}, "results": HOSTILE, "configuration": [HOSTILE]},
    ],
)
def test_hostile_content_is_shown_and_never_run(admin_client: Client, fields: dict[str, Any]) -> None:
    job = make_failed_job(**fields)
    make_attempt(job, message=HOSTILE, traceback=HOSTILE, error_code=HOSTILE, error_class=HOSTILE)
    for page in (
        page_of(admin_client, job),
        admin_client.get("/admin/pleme_redis_django/job/").content.decode(),
    ):
        assert "<script>alert" not in page
        assert "\u202e" not in page, "text that reorders its surroundings is escaped"
        assert InlineCode(page).found == []


def test_a_name_that_reorders_text_is_escaped_wherever_it_is_shown(admin_client: Client) -> None:
    job = make_failed_job(job_type="shop.\u202egnp.exe")
    admin_client.post(f"/admin/pleme_redis_django/job/{job.pk}/operation/retry/")
    for address in ("", f"{job.pk}/change/", f"{job.pk}/history/", f"{job.pk}/delete/"):
        page = admin_client.get(f"/admin/pleme_redis_django/job/{address}").content.decode()
        assert "\u202e" not in page, address
        assert "shop.\\u202egnp.exe" in page, address
    assert "\u202e" not in admin_client.get("/admin/").content.decode(), "among the user's recent actions"
    job.refresh_from_db()
    assert job.job_type == "shop.\u202egnp.exe"


def test_an_answer_that_asks_for_an_operation_is_safe_too(admin_client: Client) -> None:
    job = make_job(job_type=HOSTILE)
    page = admin_client.post(f"/admin/pleme_redis_django/job/{job.pk}/operation/cancel/").content.decode()
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert InlineCode(page).found == []


def test_pages_are_clean_under_a_strict_content_security_policy(admin_client: Client) -> None:
    job = make_failed_job()
    make_attempt(job)
    for address in ("", f"{job.pk}/change/", f"{job.pk}/delete/", f"{job.pk}/history/"):
        page = admin_client.get(f"/admin/pleme_redis_django/job/{address}").content.decode()
        assert InlineCode(page).found == []


def test_nothing_on_the_page_can_be_edited(admin_client: Client) -> None:
    job = make_job()
    page = page_of(admin_client, job)
    assert 'name="_save"' not in page
    response = admin_client.post(f"/admin/pleme_redis_django/job/{job.pk}/change/", {"status": "COMPLETED"})
    assert response.status_code == 403
    assert admin_client.get("/admin/pleme_redis_django/job/add/").status_code == 403
    job.refresh_from_db()
    assert job.status == JobStatus.QUEUED


def test_a_page_of_a_job_that_ran_says_for_how_long(admin_client: Client) -> None:
    times = {"run_after": ago(200), "claimed_at": ago(131), "started_at": ago(130), "completed_at": ago(5)}
    job = make_job(status=JobStatus.COMPLETED, **times)
    assert "ran for 2 m 5 s" in page_of(admin_client, job)
