"""Queue names: which are accepted, and what is said of the others."""

from __future__ import annotations

import pytest

from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.jobs.interface.queue_names import DEFAULT_QUEUE_NAME, validate_queue_name


@pytest.mark.parametrize("name", [DEFAULT_QUEUE_NAME, "a", "0", "Mail.2026_high-prio", "x" * 64])
def test_a_name_that_is_accepted_comes_back_unchanged(name: str) -> None:
    assert validate_queue_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "*",
        "-a",
        ".a",
        "_a",
        "a b",
        "a:b",
        "a\n",
        "ä",
        "a\x00",
        "{a}",
        "x" * 65,
        None,
        5,
        b"mail",
        ["mail"],
    ],
)
def test_another_one_is_named_with_what_is_accepted(name: object) -> None:
    with pytest.raises(InvalidName, match=r"is not a valid queue name\. Accepted: 1 to 64 characters"):
        validate_queue_name(name)


def test_a_long_one_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidName) as caught:
        validate_queue_name("x" * 10_000)
    assert len(str(caught.value)) < 300
