"""The page of one job: exact, bounded and safe, whatever the job holds."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.admin.display import age, json_text, progress_bar, text_block
from pleme_redis_django.jobs.interface.job import JobStatus
from tests.admin.conftest import StaffLogin
from tests.rows import ago, make_attempt, make_failed_job, make_job
from tests.workload.models import EmailJob

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


def test_json_is_shown_with_sorted_keys_and_exact_numbers(admin_client: Client) -> None:
    job = make_job(parameters={"b": 2**63 + 1, "a": {"z": "ü", "y": 10**30}})
    page = unescape(page_of(admin_client, job))
    assert f'{{\n  "a": {{\n    "y": {10**30},\n    "z": "ü"\n  }},\n  "b": {2**63 + 1}\n}}' in page


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


def test_long_values_are_cut_with_a_note_and_a_file(admin_client: Client) -> None:
    job = make_failed_job(results=["x" * 90_000], error_message="m" * 10_000)
    page = page_of(admin_client, job)
    assert len(page) < 60_000
    assert "The first 8,192 of 90,008 characters." in page
    whole = admin_client.get(re.search(r'href="([^"]+part/results/)"', page)[1])
    assert whole.content.decode() == json_text(["x" * 90_000])
    assert whole["Content-Type"] == "text/plain; charset=utf-8"
    assert whole["Content-Disposition"].startswith("attachment")


def test_only_long_fields_are_files(admin_client: Client, staff: StaffLogin) -> None:
    job = make_job()
    address = f"/admin/pleme_redis_django/job/{job.pk}/part/"
    assert admin_client.get(f"{address}unique_slot/").status_code == 404
    assert admin_client.get(f"{address}parameters/").status_code == 200
    assert staff("retry_job").get(f"{address}parameters/").status_code == 403


def test_attempts_come_newest_first_with_their_tracebacks(admin_client: Client) -> None:
    job = make_failed_job()
    make_attempt(job, 1, traceback="Traceback: first", error_class="shop.errors.Away")
    make_attempt(job, 2, traceback="Traceback: second")
    make_attempt(make_failed_job(), 3, traceback="Traceback: of another job")
    page = page_of(admin_client, job)
    assert page.index("Traceback: second") < page.index("Traceback: first")
    assert "of another job" not in page
    assert "shop.errors.Away" in page


def test_a_huge_traceback_shows_its_end(admin_client: Client) -> None:
    job = make_failed_job()
    make_attempt(job, traceback="a" * 10_000_000 + "ValueError: at the end")
    page = page_of(admin_client, job)
    assert "ValueError: at the end" in page
    assert "of 10000022 characters" in page.replace(",", "")
    assert len(page) < 60_000


def test_many_attempts_are_cut_and_cost_the_same_queries(admin_client: Client) -> None:
    def queries(job: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            page_of(admin_client, job)
        return len(captured)

    few, many = make_failed_job(), make_failed_job()
    make_attempt(few)
    for number in range(1, 31):
        make_attempt(many, number)
    queries(few)  # content types are asked for once in a process
    assert queries(few) == queries(many) <= 5
    page = page_of(admin_client, many)
    assert page.count("<details") == 20
    [link] = re.findall('The newest 20 attempts. <a href="([^"]+)">All of them</a>', page)
    assert admin_client.get(unescape(link)).context["cl"].result_count == 30


def test_the_fields_of_a_projects_own_model_are_shown(admin_client: Client) -> None:
    job = make_job(model=EmailJob, recipient="ann@example.com")
    assert "ann@example.com" in page_of(admin_client, job)


def test_nothing_on_the_page_can_be_edited(admin_client: Client) -> None:
    job = make_job()
    page = page_of(admin_client, job)
    assert 'name="_save"' not in page
    response = admin_client.post(f"/admin/pleme_redis_django/job/{job.pk}/change/", {"status": "COMPLETED"})
    assert response.status_code == 403
    assert admin_client.get("/admin/pleme_redis_django/job/add/").status_code == 403
    job.refresh_from_db()
    assert job.status == JobStatus.QUEUED


def test_progress_is_a_bar_with_its_numbers(admin_client: Client) -> None:
    job = make_job(status=JobStatus.RUNNING, progress={"done": 1500, "total": 6000, "note": "rows"})
    page = page_of(admin_client, job)
    assert '<progress class="pleme-progress" max="100" value="25.0" aria-label="Progress">' in page
    assert "1,500 of 6,000 (25 %)" in page


@pytest.mark.parametrize(
    "progress", [{}, {"done": 1}, {"done": 1, "total": 0}, {"done": True, "total": 5}, [1]]
)
def test_progress_of_another_form_is_no_bar(progress: Any) -> None:
    assert "<progress" not in progress_bar(progress)


def test_a_page_of_a_job_that_ran_says_for_how_long(admin_client: Client) -> None:
    times = {"run_after": ago(200), "claimed_at": ago(131), "started_at": ago(130), "completed_at": ago(5)}
    job = make_job(status=JobStatus.COMPLETED, **times)
    assert "ran for 2 m 5 s" in page_of(admin_client, job)


def test_no_time_is_a_dash() -> None:
    assert age(None) == "-"


def test_text_that_is_already_cut_knows_its_length() -> None:
    assert "The first 8,192 of 9,000,000 characters." in text_block("x" * 9_000, total=9_000_000)


def test_json_nested_too_deeply_is_no_error() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested too deeply" in json_text(deep)
