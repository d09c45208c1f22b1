"""The fields of the page of a job: exact, of every model, and whole as files."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from pleme_redis_django.admin.display import json_text
from tests.admin.conftest import StaffLogin
from tests.rows import make_failed_job, make_job
from tests.workload.models import EmailJob

pytestmark = pytest.mark.django_db


def page_of(client: Client, job: Any) -> str:
    response = client.get(f"/admin/{job._meta.app_label}/{job._meta.model_name}/{job.pk}/change/")
    assert response.status_code == 200
    return response.content.decode()


def test_json_is_shown_with_sorted_keys_and_exact_numbers(admin_client: Client) -> None:
    job = make_job(parameters={"b": 2**63 + 1, "a": {"z": "ü", "y": 10**30}})
    page = unescape(page_of(admin_client, job))
    assert f'{{\n  "a": {{\n    "y": {10**30},\n    "z": "ü"\n  }},\n  "b": {2**63 + 1}\n}}' in page


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


def test_the_fields_of_a_projects_own_model_are_shown(admin_client: Client) -> None:
    job = make_job(model=EmailJob, recipient="ann@example.com")
    assert "ann@example.com" in page_of(admin_client, job)
