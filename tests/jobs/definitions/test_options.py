"""The options of a definition: what each accepts, and what ``.using()`` changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from pleme_redis_django.exceptions import EnqueueError, InvalidJobDefinition
from pleme_redis_django.jobs.definitions.declaring import definition_of
from tests.jobs.definitions.handlers import send


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"name": "a\nb"},
        {"name": "nul\x00"},
        {"name": 5},
        {"queue_name": "a b"},
        {"queue_name": "*"},
        {"queue_name": None},
        {"priority": 101},
        {"priority": -101},
        {"priority": 1.0},
        {"priority": True},
        {"priority": "high"},
        {"max_retries": -1},
        {"max_retries": "3"},
        {"max_retries": True},
        {"max_retries": 1.5},
        {"max_retries": 1_001},
        {"base_retry_delay": -1},
        {"base_retry_delay": float("nan")},
        {"base_retry_delay": float("inf")},
        {"base_retry_delay": 86_401},
        {"retry_on": ["ValueError"]},
        {"no_retry_on": [5]},
        {"unique": "always"},
        {"unique": 5},
        {"unique": True},
        {"unique": "once_per"},
    ],
    ids=repr,
)
def test_a_bad_option_is_refused_at_decoration(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobDefinition, match=r"[Aa]ccepted"):
        definition_of(send, **options)


def test_one_exception_class_needs_no_list() -> None:
    assert definition_of(send, retry_on=KeyError).retry_on == (KeyError,)  # type: ignore[arg-type]


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


@pytest.mark.parametrize("option", ["kind", "function", "rate", "max_retry"])
def test_an_option_that_there_is_not_is_refused(option: str) -> None:
    with pytest.raises(
        InvalidJobDefinition, match=rf"@job has no option '{option}'. (Accepted: atomic|Did you mean)"
    ):
        definition_of(send, **{option: 1})  # type: ignore[arg-type]  # what is refused


def test_using_refuses_a_due_time_at_once() -> None:
    with pytest.raises(EnqueueError, match="naive"):
        definition_of(send).using(run_after=datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is refused
