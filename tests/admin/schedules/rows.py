"""Schedules of the tests about them in the admin, and the addresses of their pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from pleme_redis_django.models import Schedule
from tests.workload.jobs import add, noop

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
