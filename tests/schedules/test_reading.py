"""Reading the row of a schedule: everything is checked, and what is left out has its default."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pleme_redis_django.exceptions import InvalidParameters
from pleme_redis_django.jobs.definitions.schedule_values import CatchUp, Overlap
from pleme_redis_django.models import Schedule
from pleme_redis_django.schedules.reading import UNREADABLE, read_schedule
from tests.schedules import jobs


def a_row(**fields: Any) -> Schedule:
    """Return one that was never stored."""
    values: dict[str, Any] = {
        "product": "acme",
        "name": "nightly",
        "job_type": jobs.report.name,
        "parameters": {"shop": "berlin"},
        "cron": "0  3 * * *",
        "timezone": "Europe/Berlin",
        "catch_up": "one",
        "overlap": "queue",
    }
    return Schedule(**values | fields)


def test_every_column_becomes_what_the_code_works_with() -> None:
    read = read_schedule(a_row(jitter_seconds=30, catch_up_limit=7))
    assert read.definition.name == jobs.report.name
    assert dict(read.definition.options) == {"product": "acme"}
    assert read.parameters == {"shop": "berlin"}
    assert (read.timing.cron, read.timing.timezone) == ("0 3 * * *", "Europe/Berlin")
    assert (read.catch_up, read.overlap) == (CatchUp.ONE, Overlap.QUEUE)
    assert (read.jitter_seconds, read.catch_up_limit) == (30, 7)


def test_a_queue_and_a_priority_of_its_own_go_before_those_of_the_job() -> None:
    read = read_schedule(a_row(queue_name="slow", priority=0))
    assert dict(read.definition.options) == {"product": "acme", "queue_name": "slow", "priority": 0}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "a\nb"}, "name is"),
        ({"job_type": "os.system"}, "os.system"),
        ({"parameters": {"shop": "berlin", "pages": "many"}}, "pages"),
        ({"parameters": "berlin"}, "Accepted: a JSON object"),
        ({"product": "No Product"}, "product"),
        ({"queue_name": "a * b"}, "queue"),
        ({"priority": 101}, "priority is 101"),
        ({"cron": "", "interval_seconds": None}, "either a cron expression or an interval"),
        ({"interval_seconds": 60}, "either a cron expression or an interval"),
        ({"timezone": "Mars"}, "The zone is"),
        ({"catch_up": "never"}, 'Accepted: "skip", "one", "all"'),
        ({"catch_up": "all"}, 'with overlap="queue" all but one of them would make none'),
        ({"catch_up_limit": 0}, "catch_up_limit is 0"),
        ({"overlap": ""}, "overlap is ''"),
        ({"jitter_seconds": -1}, "jitter_seconds is -1"),
        (
            {
                "starts_at": datetime(2026, 2, 1, tzinfo=UTC),
                "ends_at": datetime(2026, 1, 1, tzinfo=UTC),
            },
            "before it starts",
        ),
    ],
    ids=repr,
)
def test_a_column_that_cannot_be_read_is_refused_with_the_reason(fields: dict[str, Any], said: str) -> None:
    with pytest.raises((*UNREADABLE, InvalidParameters)) as refused:
        read_schedule(a_row(**fields))
    assert said in str(refused.value)
    assert isinstance(refused.value, UNREADABLE)
