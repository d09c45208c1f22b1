"""What is asked before an operation: values in the zone of the admin, and none that is not accepted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from pleme_redis_django.models import Job
from tests.admin.conftest import LIST
from tests.rows import make_job

pytestmark = pytest.mark.django_db

JSON = {"accept": "application/json"}


def row_of(job: Any) -> dict[str, Any]:
    return dict(Job.objects.filter(pk=job.pk).values().get())


def test_a_new_due_time_is_taken_in_the_zone_of_the_admin(admin_client: Client) -> None:
    job = make_job()
    with timezone.override("Europe/Berlin"):
        data = {"_selected_action": str(job.pk), "run_after": "2030-07-01T12:00"}
        admin_client.post(f"{LIST}bulk/reschedule/", data)
    job.refresh_from_db()
    assert job.run_after == datetime(2030, 7, 1, 10, tzinfo=UTC)
    assert "Made due at 2030-07-01 12:00" in LogEntry.objects.get().change_message


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("reschedule", {}, "This field is required."),
        ("reschedule", {"run_after": "tomorrow"}, "Enter a valid date/time."),
        ("reschedule", {"run_after": "9999-12-31T23:59"}, "Accepted: a time of the years 1900 to 8999"),
        ("change_priority", {"priority": "101"}, "less than or equal to 100"),
        ("change_queue", {"queue_name": "a b"}, "is not a valid queue name"),
        ("change_queue", {"queue_name": "<script>"}, "is not a valid queue name"),
    ],
)
def test_a_value_that_is_not_accepted_changes_nothing(
    admin_client: Client, name: str, data: dict[str, str], message: str
) -> None:
    job = make_job()
    before, data = row_of(job), {"_selected_action": str(job.pk), **data}
    page = admin_client.post(f"{LIST}bulk/{name}/", data)
    assert message in page.content.decode()
    assert "<script>'" not in page.content.decode()
    answer = admin_client.post(f"{LIST}bulk/{name}/", data, headers=JSON)
    assert (answer.status_code, message in answer.json()["error"]) == (400, True)
    assert row_of(job) == before
