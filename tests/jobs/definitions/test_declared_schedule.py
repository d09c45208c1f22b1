"""DeclaredSchedule: by its digest, a process sees whether a row says what the code says."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

from pleme_redis_django import cron, every


def test_equal_declarations_have_equal_digests() -> None:
    one, same, other = every(60), every(60), every(60, jitter_seconds=1)
    assert one.digest("a") == same.digest("a")
    assert len({one.digest("a"), other.digest("a"), one.digest("b"), cron("* * * * *").digest("a")}) == 4
    assert dataclasses.replace(one, timezone="UTC").digest("a") != one.digest("a")


def test_every_field_counts_for_the_digest() -> None:
    before = every(60)
    changes = {
        "cron": "0 3 * * *",
        "interval_seconds": 61,
        "timezone": "UTC",
        "name": "other",
        "product": "acme",
        "parameters": {"shop": "berlin"},
        "jitter_seconds": 1,
        "catch_up": "one",
        "catch_up_limit": 7,
        "overlap": "allow",
        "starts_at": datetime(2026, 1, 1, tzinfo=UTC),
        "ends_at": datetime(2027, 1, 1, tzinfo=UTC),
    }
    assert changes.keys() == {field.name for field in dataclasses.fields(before)}
    digests = {dataclasses.replace(before, **{name: value}).digest("a") for name, value in changes.items()}
    assert len(digests | {before.digest("a")}) == len(changes) + 1
