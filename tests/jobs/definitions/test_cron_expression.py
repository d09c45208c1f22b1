"""Cron expressions: what is refused when they are declared, at once and with what is accepted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pleme_redis_django.exceptions import InvalidSchedule
from pleme_redis_django.jobs.definitions.cron_expression import checked_cron

MOST_CALLS = 30_000
"""Calls and returns. One look at each day of the fifty years that are searched takes a third of it."""


@contextmanager
def few_calls() -> Iterator[None]:
    """Fail once Python has called and returned too often: a bound that no busy machine can break."""
    calls = 0

    def count(*_event: object) -> None:
        nonlocal calls
        calls += 1
        if calls > MOST_CALLS:  # checked_cron() may take it for a fault of the expression; the end tells
            raise AssertionError(f"more than {MOST_CALLS} calls")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
    assert calls <= MOST_CALLS


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 0 30 2 *", "Bad day-of-month"),
        ("0 0 */30 2 7#5", "never fires"),
        ("* " * 60, "60 fields"),
        ("* * * *", "4 fields"),
        ("", "0 fields"),
        ("61 * * * *", "Bad minute"),
        ("0 0 1 1 * 2027", "Bad"),
        ("1-99999999999 * * * *", "Bad minute"),
        ("*/0 * * * *", "Bad minute"),
        ("9" * 5_000, "at most 200"),
        ("@daily", "1 fields"),
        ("\0 * * * *", "Bad minute"),
        ("٣ * * * *", "Bad minute"),
        (None, "None"),
    ],
)
def test_an_expression_that_is_no_use_is_refused_at_once(expression: object, said: str) -> None:
    with few_calls(), pytest.raises(InvalidSchedule, match=said) as refusal:
        checked_cron(expression)
    assert "Accepted: " in str(refusal.value)


@pytest.mark.parametrize("expression", ["0 3 * * *", "*/5 * * * MON-FRI", "0 0 L * *", "0 0 29 2 *"])
def test_an_expression_that_fires_some_day_is_accepted(expression: str) -> None:
    checked_cron(expression)
