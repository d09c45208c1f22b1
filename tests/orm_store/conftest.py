"""What a test of the store says itself: how long a claim takes, however busy the machine is, and a session's age."""

from __future__ import annotations

import pytest
from django.db import connection

from pleme_redis_django.orm_store import claim_position, long_look
from pleme_redis_django.orm_store.dialects.postgresql import prepared

A_DAY_SECONDS = 86_400.0


@pytest.fixture
def every_claim_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a long backlog of dead rows, and so slow that no claim tries the head again meanwhile."""
    monkeypatch.setattr(claim_position, "EXPECTED_SECONDS", -1.0)
    monkeypatch.setattr(claim_position, "EXPECTED_SECONDS_PER_JOB", 0.0)
    monkeypatch.setattr(claim_position, "EXPECTED_ROUND_TRIPS", 0)
    monkeypatch.setattr(claim_position, "HEAD_SHARE", 1e-9)
    monkeypatch.setattr(claim_position, "MAX_SECONDS_WITHOUT_HEAD", A_DAY_SECONDS)
    monkeypatch.setattr(claim_position, "MAX_SECONDS_WITH_NONE_LET_IN", A_DAY_SECONDS)


@pytest.fixture
def no_claim_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims start at the head, read all at once, and keep their plans."""
    monkeypatch.setattr(claim_position, "EXPECTED_SECONDS", A_DAY_SECONDS)
    monkeypatch.setattr(prepared, "SLOW_SECONDS", A_DAY_SECONDS)
    monkeypatch.setattr(long_look, "LONG_SECONDS", A_DAY_SECONDS)


@pytest.fixture
def kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONN_MAX_AGE = None: nothing but a failure ends a session."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    connection.close()
    connection.ensure_connection()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()
