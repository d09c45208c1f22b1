"""Checks that ask the Redis server: too old, evicting, silent, and only with --deploy."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test.utils import override_settings

from pleme_redis_django.checks.redis_server import check_redis_server
from pleme_redis_django.redis_state.server.connections import close_sync_clients
from pleme_redis_django.redis_state.server.facts import ServerFacts
from pleme_redis_django.testing.servers import RedisServer


def url(value: str | None) -> dict[str, Any]:
    return {**django_settings.PLEME_REDIS, "URL": value}


def server_findings() -> list[str]:
    return [str(message.id).rpartition(".")[2] for message in check_redis_server()]


def test_the_server_of_the_suite_passes() -> None:
    assert server_findings() == []


@pytest.mark.parametrize(
    ("limit", "policy", "expected"),
    [
        ("10mb", "allkeys-lru", ["W052"]),
        ("10mb", "volatile-ttl", ["W052"]),
        ("10mb", "noeviction", []),
        ("0", "allkeys-lru", []),
    ],
)
def test_a_server_that_may_evict_locks_is_reported(limit: str, policy: str, expected: list[str]) -> None:
    eviction = {"maxmemory": limit, "maxmemory-policy": policy}
    with RedisServer(settings=eviction) as server, override_settings(PLEME_REDIS=url(server.url())):
        assert server_findings() == expected
        close_sync_clients()


def test_a_server_that_does_not_answer_is_reported() -> None:
    with override_settings(PLEME_REDIS=url("redis://127.0.0.1:1/0")):
        assert server_findings() == ["W057"]
    with override_settings(PLEME_REDIS=url(None)):
        assert server_findings() == []


def test_an_old_server_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = ServerFacts(version=(6, 0, 16), maxmemory_bytes=0, maxmemory_policy="noeviction")
    monkeypatch.setattr("pleme_redis_django.redis_state.server.facts.server_facts", lambda: facts)
    assert server_findings() == ["E058"]


@pytest.mark.django_db(databases=["default", "sqlite"])
def test_only_deploy_asks_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(PLEME_REDIS=url("redis://127.0.0.1:1/0")):
        call_command("check")
        call_command("check", "--deploy")
    first, _, second = capsys.readouterr().err.partition("System check identified")
    assert "W057" not in first and "W057" in second
