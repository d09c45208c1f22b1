"""Statuses with their transitions, and names of queues."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name

NEXT = {
    "PENDING": {"QUEUED", "BLOCKED", "CANCELLED"},
    "BLOCKED": {"QUEUED", "CANCELLED", "PENDING"},
    "QUEUED": {"RUNNING", "BLOCKED", "CANCELLED", "PENDING"},
    "RUNNING": {"COMPLETED", "PENDING", "BLOCKED", "QUEUED", "FAILED", "CANCELLED"},
    "COMPLETED": set(),
    "FAILED": {"QUEUED", "BLOCKED"},
    "CANCELLED": {"QUEUED", "BLOCKED"},
}


def test_the_documented_transitions_and_no_others() -> None:
    found = {
        status.value: {other.value for other in JobStatus if status.can_become(other)} for status in JobStatus
    }
    assert found == NEXT


def test_terminal_statuses() -> None:
    assert {status for status in JobStatus if status.is_terminal} == {
        JobStatus.COMPLETED,
        JobStatus.FAILED,
        JobStatus.CANCELLED,
    }


@pytest.mark.parametrize("name", ["a", "default", "E-mail_2.high", "9", "x" * 64])
def test_good_queue_names(name: str) -> None:
    assert validate_queue_name(name) == name


HOSTILE_NAMES = [
    "",
    "x" * 65,
    "x" * 10_000,
    "-a",
    ".a",
    "a b",
    "a:b",
    "*",
    "a\n",
    "{a}",
    "../a",
    "\u202eabc",
    "\u0661",
    "a\x00",
    None,
    5,
    b"a",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name)[:20])
def test_hostile_queue_names_are_refused(name: Any) -> None:
    with pytest.raises(
        InvalidName, match=r"is not a valid queue name\. Accepted: 1 to 64 characters"
    ) as error:
        validate_queue_name(name)
    assert len(str(error.value)) < 300
