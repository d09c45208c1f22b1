"""The options of an enqueue: what each accepts, and what ``.using()`` changes."""

from __future__ import annotations

from datetime import datetime

import pytest

from pleme_redis_django.exceptions import EnqueueError
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.options import bounds_of, check_ranges, refusal_of_using
from pleme_redis_django.jobs.interface.bounds import NO_BOUNDS
from tests.jobs.definitions.handlers import send


def test_using_changes_a_copy_and_keeps_the_rest() -> None:
    definition = definition_of(send, queue_name="email")
    changed = definition.using(product="novaskyn").using(priority=5)
    assert changed.options == {"product": "novaskyn", "priority": 5}
    assert definition.options == {}
    assert changed.defaults["queue_name"] == "email"


def test_nobody_can_change_the_options_of_a_definition() -> None:
    definition = definition_of(send).using(priority=5)
    for options in (definition.options, definition.defaults):
        with pytest.raises(TypeError, match="item assignment"):
            options["priority"] = 7
    assert definition.using(priority=None).options == {"priority": 5}


def test_using_refuses_a_due_time_at_once() -> None:
    with pytest.raises(EnqueueError, match="naive"):
        definition_of(send).using(run_after=datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is refused


@pytest.mark.parametrize(
    ("options", "accepted"),
    [
        ({"max_retries": 1_001}, "0 to 1,000"),
        ({"base_retry_delay": -1}, "0 to 86,400"),
        ({"unique_key": ""}, "1 to 500"),
        ({"unique_key": "x" * 501}, "1 to 500"),
    ],
    ids=repr,
)
def test_a_value_out_of_its_range_is_refused_with_the_range(
    options: dict[str, object], accepted: str
) -> None:
    with pytest.raises(EnqueueError, match=rf"{next(iter(options))} is .* Accepted: .*{accepted}") as refused:
        check_ranges(options)
    assert len(str(refused.value)) < 160  # Nobody's long text comes back whole.


def test_the_ends_of_a_range_are_accepted() -> None:
    check_ranges(
        {"max_retries": 1_000, "base_retry_delay": 0, "unique_key": "x" * 500, "priority": 1_000_000}
    )


def test_only_what_bounds_an_attempt_is_a_bound() -> None:
    bounds = bounds_of({"timeout": 5.0, "atomic": True, "priority": 3})
    assert (bounds.timeout, bounds.atomic, bounds.kill_after) == (5.0, True, None)
    assert bounds_of({"priority": 3}) is NO_BOUNDS


def test_what_only_the_job_says_is_refused_with_the_reason() -> None:
    assert "unique_key= says" in str(refusal_of_using(["unique"]))
    assert "Did you mean priority?" in str(refusal_of_using(["priorty"]))
