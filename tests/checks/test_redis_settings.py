"""Checks of the cache, the locks and Redis: what is wrong, said at start or with --deploy."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.test.utils import override_settings

from pleme_redis_django.checks.redis_settings import check_redis
from pleme_redis_django.conf import build_settings
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.realtime.channel_layer import channel_layer_entry

REDIS = "django_redis.cache.RedisCache"
JSON = {"SERIALIZER": "django_redis.serializers.json.JSONSerializer"}
PICKLE = {"SERIALIZER": "django_redis.serializers.pickle.PickleSerializer"}
CORE = "channels_redis.core.RedisChannelLayer"


def found(**settings: Any) -> list[str]:
    return [str(message.id).rpartition(".")[2] for message in messages(**settings)]


def messages(**settings: Any) -> list[CheckMessage]:
    with override_settings(**settings):
        return list(check_redis())


def caches(**aliases: Any) -> dict[str, Any]:
    return {"default": django_settings.CACHES["default"], **aliases}


def url(value: str | None) -> dict[str, Any]:
    return {**django_settings.PLEME_REDIS, "URL": value}


def test_the_settings_of_the_suite_pass() -> None:
    assert found() == []


@pytest.mark.parametrize(
    "alias",
    [
        {"BACKEND": REDIS, "LOCATION": "redis://h/1"},
        {"BACKEND": REDIS, "LOCATION": "redis://h/1", "OPTIONS": PICKLE},
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://h/1"},
    ],
)
def test_a_cache_that_unpickles_is_an_error(alias: Any) -> None:
    [message] = messages(CACHES={"default": alias})
    assert message.id == "pleme_redis_django.E050" and "SERIALIZER" in str(message.hint).upper()
    assert found(CACHES=caches(other=alias)) == []  # not the one of CACHE_ALIAS


def test_caches_that_unpickle_what_is_theirs_are_fine() -> None:
    assert found(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}) == []


@pytest.mark.parametrize(
    ("locks", "cache", "shared"),
    [
        ("redis://h/1", "redis://h:6379/1", True),
        ("redis://h:6379/1", "rediss://u:p@h?db=1", True),
        ("redis://localhost", "redis://127.0.0.1/0", True),
        ("unix:///tmp/r.sock?db=1", "unix:///tmp/r.sock?db=1&protocol=3", True),
        ("redis://h/0", "redis://h/1", False),
        ("redis://h/0", "redis://i/0", False),
        ("unix:///tmp/r.sock", "unix:///tmp/r.sock?db=1", False),
        ("redis://h/0", ["redis://i/0", "redis://h/0"], True),
        ("redis://h/0", "/var/tmp/cache", False),
        (None, "redis://h/0", False),
    ],
)
def test_locks_in_the_caches_database_are_reported(locks: str | None, cache: Any, shared: bool) -> None:
    alias = {"BACKEND": REDIS, "LOCATION": cache, "OPTIONS": JSON}
    assert found(PLEME_REDIS=url(locks), CACHES=caches(other=alias)) == (["W051"] if shared else [])


@pytest.mark.parametrize(
    "option",
    ["decode_responses=True", "protocol=3", "socket_timeout=1", "max_connections=2", "encoding=latin-1"],
)
def test_options_of_the_url_that_change_replies_are_refused_without_its_password(option: str) -> None:
    with pytest.raises(InvalidSettings, match=option.partition("=")[0]) as refused:
        build_settings({"URL": f"redis://app:secret@h/1?db=2&{option}"})
    assert "secret" not in str(refused.value)
    assert build_settings({"URL": "rediss://h/1?ssl_cert_reqs=none"}).url


def test_aliases_of_one_url_with_different_options_are_reported() -> None:
    one = {"BACKEND": REDIS, "LOCATION": "redis://h/5", "OPTIONS": {**JSON, "SOCKET_TIMEOUT": 1}}
    two = {**one, "OPTIONS": {**JSON, "SOCKET_TIMEOUT": 9}}
    [message] = messages(CACHES=caches(one=one, two=two))
    assert message.id == "pleme_redis_django.W054" and "SOCKET_TIMEOUT" in message.msg
    assert found(CACHES=caches(one=one, two=one)) == []
    assert found(CACHES=caches(one=one, two={**two, "LOCATION": "redis://h/6"})) == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ["E055", "W056"]),
        ({"hosts": [("127.0.0.1", 6379)]}, ["E055", "W056"]),
        ({"hosts": [{"address": "redis://h", "socket_timeout": 60, "max_connections": 9}]}, ["E055"]),
        ({"hosts": [{"address": "redis://h", "socket_timeout": None}]}, ["W056"]),
        (
            {"hosts": [{"address": "redis://h", "socket_timeout": None, "max_connections": 9}, "redis://i"]},
            ["E055", "W056"],
        ),
    ],
)
def test_channel_layers_that_die_or_run_out_are_reported(config: Any, expected: list[str]) -> None:
    assert found(CHANNEL_LAYERS={"default": {"BACKEND": CORE, "CONFIG": config}}) == expected


def test_the_hint_names_what_can_be_imported() -> None:
    for message in messages(CHANNEL_LAYERS={"default": {"BACKEND": CORE, "CONFIG": {}}}):
        found_names = re.search(r"= (\w+)\(url\), imported from ([\w.]+)\.$", str(message.hint))
        assert found_names is not None
        assert callable(getattr(importlib.import_module(found_names[2]), found_names[1]))


def test_the_helpers_channel_layer_passes() -> None:
    assert found(CHANNEL_LAYERS={"default": channel_layer_entry("redis://h")}) == []
    assert found(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}) == []


def test_a_cache_alias_that_does_not_exist_is_an_error() -> None:
    (message,) = messages(PLEME_REDIS={**django_settings.PLEME_REDIS, "CACHE_ALIAS": "defualt"})
    assert str(message.id).endswith("E059")
    assert message.hint == "Known aliases: default."
