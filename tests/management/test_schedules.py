"""``manage.py schedules``: what it prints, does and refuses."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from pleme_redis_django.models import Job, Schedule
from tests.workload.jobs import noop

pytestmark = pytest.mark.django_db


def make(name: str = "nightly", **fields: Any) -> Schedule:
    values = {"product": "default", "job_type": noop.name, "cron": "*/5 * * * *", "timezone": "Europe/Berlin"}
    values |= {"next_tick_at": timezone.now() + timedelta(hours=1), **fields}
    return Schedule.objects.create(name=name, **values)


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command("schedules", *arguments, stdout=out)
    return out.getvalue()


def test_none() -> None:
    assert printed("list").startswith("There are no schedules.")
    assert json.loads(printed("list", "--json")) == []


def test_list() -> None:
    make()
    make("off", enabled=False, disabled_reason="The zone is 'X'.")
    lines = printed("list").splitlines()
    assert lines[:3] == [
        "default  off",
        f"    every 5 minutes, Berlin time; {noop.name}; admin",
        "    disabled: The zone is 'X'.",
    ]
    assert lines[5].startswith("    fires, next 20")


def test_list_of_one_product_as_json() -> None:
    make(product="acme")
    make(product="globex")
    (listed,) = json.loads(printed("list", "--json", "--product", "acme"))
    assert (listed["product"], listed["name"], listed["state"]) == ("acme", "nightly", "fires")
    assert len(listed["upcoming"]) == 5
    assert (listed["cron"], listed["interval_seconds"], listed["last_ticks"]) == ("*/5 * * * *", None, [])


def test_run() -> None:
    make()
    said = printed("run", "nightly", "--by", "ada")
    assert said.strip() == f"Enqueued the job {Job.objects.get().id}."
    assert json.loads(printed("run", "nightly", "--json")).keys() == {"action", "name", "job_id"}


def test_pause_and_resume() -> None:
    make(product="acme")
    assert (
        printed("pause", "nightly", "--product", "acme", "--reason", "why", "--by", "ada").strip()
        == "Paused."
    )
    assert Schedule.objects.get().pause_reason == "why"
    assert printed("pause", "nightly", "--product", "acme").strip() == "It was already paused."
    assert printed("resume", "nightly", "--product", "acme").strip() == "Resumed."
    assert json.loads(printed("resume", "nightly", "--product", "acme", "--json"))["changed"] is False


@pytest.mark.parametrize("action", ["run", "pause", "resume"])
def test_a_name_that_is_not_there_is_refused_with_the_nearest(action: str) -> None:
    make("nightly-report")
    with pytest.raises(CommandError, match=r"Did you mean nightly-report\?") as refusal:
        printed(action, "nightly-reprot")
    assert refusal.value.returncode == 1


def test_a_bad_product_is_refused() -> None:
    with pytest.raises(CommandError, match="not a valid product name"):
        printed("list", "--product", "No Product")
    with pytest.raises(CommandError, match="not a valid product name"):
        printed("run", "x", "--product", "*")


def test_what_cannot_be_read_is_not_run() -> None:
    make(parameters={"surplus": 1})
    with pytest.raises(CommandError, match="unknown"):
        printed("run", "nightly")
