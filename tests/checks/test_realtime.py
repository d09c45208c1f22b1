from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.checks.realtime import check_realtime


@pytest.mark.parametrize(
    ("values", "check_id", "why"),
    [
        ({"CHANNELS": {"*": {}}}, "E080", "not a valid channel pattern"),
        ({"CHANNELS": {"room:*": {"read": "anyone"}}}, "E080", "unknown action 'read'"),
        ({"CHANNELS": {"room:*": {"subscribe": "everyone"}}}, "E080", "everyone"),
        ({"CHANNELS": {"room:*": {"subscribe": "no.such.rule"}}}, "E080", "cannot be imported"),
        ({"CHANNELS": {"room:*": "anyone"}}, "E080", "a dict"),
        ({"REALTIME_LIMITS": {"frames": 1}}, "E081", "unknown key 'frames'"),
        ({"REALTIME_LIMITS": {"frame_bytes": 0}}, "E081", "whole number"),
        ({"CHANNELS": {"room:*": {"subscribe": "pleme_redis_django.conf.KIB"}}}, "E080", "a function"),
        (
            {"AUTHORIZE": "pleme_redis_django.conf.get_settings", "CHANNELS": {"room:*": {}}},
            "W088",
            "are ignored",
        ),
        ({"PRESENCE_GRACE_SECONDS": 10, "PRESENCE_TTL_SECONDS": 5}, "E083", "longer"),
    ],
)
def test_wrong_settings_are_found(settings: Any, values: dict[str, Any], check_id: str, why: str) -> None:
    settings.ASGI_APPLICATION = "tests.realtime.asgi.application"
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, **values}
    [found] = check_realtime()
    assert found.id == f"pleme_redis_django.{check_id}"
    assert why in found.msg
    assert found.hint


def test_right_settings_pass(settings: Any) -> None:
    settings.ASGI_APPLICATION = "tests.realtime.asgi.application"
    settings.PLEME_REDIS = {
        **settings.PLEME_REDIS,
        "CHANNELS": {"@online": {"presence": "staff"}, "room:*": {"subscribe": lambda *_: True}},
    }
    assert check_realtime() == []


def test_open_channels_need_a_server_and_a_client(settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "CHANNELS": {"room:*": {"subscribe": "anyone"}}}
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django.contrib.staticfiles"]
    found = check_realtime()
    assert [message.id for message in found] == ["pleme_redis_django.W085", "pleme_redis_django.W086"]
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "CHANNELS": {}}
    assert check_realtime() == []


def test_hosts_that_let_every_site_in_are_warned_of(settings: Any) -> None:
    settings.ASGI_APPLICATION = "tests.realtime.asgi.application"
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "CHANNELS": {"room:*": {"subscribe": "anyone"}}}
    settings.ALLOWED_HOSTS = ["shop.example"]
    assert check_realtime() == []
    settings.ALLOWED_HOSTS = ["*"]
    assert [message.id for message in check_realtime()] == ["pleme_redis_django.W087"]
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "ALLOWED_ORIGINS": ["https://shop.example"]}
    assert check_realtime() == []
