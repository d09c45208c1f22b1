"""How values of a job look: bounded, escaped, and right for what is of another form."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from pleme_redis_django.admin.display import age, json_text, progress_bar, text_block
from pleme_redis_django.jobs.interface.job import JobStatus
from tests.rows import make_job

pytestmark = pytest.mark.django_db


def page_of(client: Client, job: Any) -> str:
    response = client.get(f"/admin/{job._meta.app_label}/{job._meta.model_name}/{job.pk}/change/")
    assert response.status_code == 200
    return response.content.decode()


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


def test_no_time_is_a_dash() -> None:
    assert age(None) == "-"


def test_text_that_is_already_cut_knows_its_length() -> None:
    assert "The first 8,192 of 9,000,000 characters." in text_block("x" * 9_000, total=9_000_000)


def test_json_nested_too_deeply_is_no_error() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested too deeply" in json_text(deep)
