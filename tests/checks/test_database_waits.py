"""The check of timeouts in the OPTIONS of the jobs' database."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import CheckMessage

from pleme_redis_django.checks.database_waits import check_database_waits
from tests.checks.test_jobs import ids, messages_of


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> Any:
    def of(options: dict[str, Any], host: str = "db.example", **pool: Any) -> list[CheckMessage]:
        monkeypatch.setitem(django_settings.DATABASES["default"], "HOST", host)
        monkeypatch.setitem(django_settings.DATABASES["default"], "OPTIONS", options)
        return messages_of(check_database_waits, POOLS={"default": pool})

    return of


@pytest.mark.parametrize(
    "host", ["db.example", "one.example,two.example,three.example", "/run/postgresql", ""]
)
def test_a_workers_own_timeouts_are_below_its_lease(messages: Any, host: str) -> None:
    assert messages({"sslmode": "require"}, host) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"connect_timeout": 15}, "with connect_timeout it takes up to 26.25 s"),
        ({"tcp_user_timeout": "20000"}, "with tcp_user_timeout it takes up to 28 s"),
        ({"keepalives_idle": 60}, "with keepalives_idle it takes up to 71 s"),
        ({"connect_timeout": 0}, "connect_timeout is 0, which is no limit"),
        ({"keepalives": "0"}, "keepalives is '0', which is no limit"),
        ({"options": "-c statement_timeout=60s"}, "statement_timeout is 60 s, and workers use it too"),
        ({"options": "-cjit=off --lock_timeout=25000"}, "lock_timeout is 25 s, and workers use it too"),
        ({"options": "-c statement_timeout=1min"}, "statement_timeout is 60 s, and workers use it too"),
    ],
)
def test_a_timeout_as_long_as_the_lease_is_a_warning(messages: Any, options: Any, said: str) -> None:
    (message,) = messages(options)
    assert ids([message]) == ["W032"]
    assert said in message.msg
    assert "25 s" in message.msg
    assert message.hint


@pytest.mark.parametrize(
    "options",
    [{"connect_timeout": 5}, {"options": "-c statement_timeout=5s -c lock_timeout=0 -c search_path=x"}],
)
def test_a_timeout_of_ones_own_that_is_short_enough_is_none(messages: Any, options: Any) -> None:
    assert messages(options) == []


def test_each_host_of_several_is_waited_for(messages: Any) -> None:
    (message,) = messages({"connect_timeout": 5}, "one.example,two.example,three.example")
    assert "to connect 15 s" in message.msg


def test_a_lease_too_short_for_any_network_is_a_warning(messages: Any) -> None:
    assert messages({}, "", lease_seconds=2, heartbeat_seconds=0.5) == []
    (message,) = messages({}, lease_seconds=2, heartbeat_seconds=0.5)
    assert "Make lease_seconds longer" in str(message.hint)


def test_what_is_no_postgresql_has_no_network(messages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(django_settings.DATABASES["sqlite"], "OPTIONS", {"timeout": 60})
    assert messages_of(check_database_waits, DATABASE="sqlite") == []
