"""What ``@job`` takes, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pleme_redis_django.exceptions import InvalidJobDefinition
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
    assert definition_of(send, retry_on=KeyError).retry_on == (KeyError,)


@pytest.mark.parametrize("option", ["kind", "function", "rate", "max_retry"])
def test_an_option_that_there_is_not_is_refused(option: str) -> None:
    with pytest.raises(
        InvalidJobDefinition, match=rf"@job has no option '{option}'. (Accepted: atomic|Did you mean)"
    ):
        definition_of(send, **{option: 1})


@pytest.mark.parametrize(
    ("option", "instead"),
    [("run_after", r"schedule= in @job"), ("expires_at", r"deadline= in @job")],
)
def test_a_moment_is_not_an_option_of_all_jobs(option: str, instead: str) -> None:
    with pytest.raises(InvalidJobDefinition, match=rf"using\({option}=\.\.\.\)\. For all: {instead}"):
        definition_of(send, **{option: datetime(2026, 1, 1, tzinfo=UTC)})


def test_a_delay_of_retries_is_a_function_that_returns_at_once() -> None:
    async def later(_retry: int, _error: BaseException) -> float:
        return 1.0

    for refused in (5, "60", later):
        with pytest.raises(InvalidJobDefinition, match=r"retry_delay is .* Accepted: a function"):
            definition_of(send, retry_delay=refused)
