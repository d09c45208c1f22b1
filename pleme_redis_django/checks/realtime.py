"""Checks of what the realtime sockets are configured with."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning

from pleme_redis_django.conf import SETTING_NAME, Settings, get_settings
from pleme_redis_django.exceptions import InvalidName, InvalidSettings
from pleme_redis_django.realtime.limits import get_limits


def check_realtime(**_kwargs: Any) -> list[CheckMessage]:
    """E080, E081, E083, W084-W088: rules, limits and times of the realtime settings."""
    try:
        settings = get_settings()
    except InvalidSettings:
        return []  # E001 says so
    return [
        *_check_rules(settings),
        *_check_limits(),
        *_check_presence(settings),
        *_check_auth(settings),
        *_check_serving(settings),
        *_check_origins(settings),
        *_check_both(settings),
    ]


def _check_rules(settings: Settings) -> list[CheckMessage]:
    if not settings.channels:
        return []
    # Not at the top: a project of jobs alone imports no channels.
    from pleme_redis_django.realtime.authorization import channel_rules

    try:
        channel_rules()
    except (InvalidSettings, InvalidName) as error:
        return [Error(str(error), hint=f'Correct {SETTING_NAME}["CHANNELS"].', id="pleme_redis_django.E080")]
    return []


def _check_limits() -> list[CheckMessage]:
    try:
        get_limits()
    except InvalidSettings as error:
        hint = f'Correct {SETTING_NAME}["REALTIME_LIMITS"].'
        return [Error(str(error), hint=hint, id="pleme_redis_django.E081")]
    return []


def _check_origins(settings: Settings) -> list[CheckMessage]:
    is_open = settings.url is not None and (settings.channels or settings.authorize)
    if not is_open or settings.allowed_origins or "*" not in django_settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            'ALLOWED_HOSTS has "*", so pages of any site may open websockets with the visitor\'s cookie.',
            hint=f'Name the hosts, or set {SETTING_NAME}["ALLOWED_ORIGINS"] to ["https://your.site"].',
            id="pleme_redis_django.W087",
        )
    ]


def _check_both(settings: Settings) -> list[CheckMessage]:
    if settings.authorize is None or not settings.channels:
        return []
    return [
        Warning(
            f'{SETTING_NAME} has "AUTHORIZE", which decides alone: the rules of "CHANNELS" are ignored.',
            hint="Remove one of the two.",
            id="pleme_redis_django.W088",
        )
    ]


def _check_presence(settings: Settings) -> list[CheckMessage]:
    if settings.presence_grace_seconds <= settings.presence_ttl_seconds:
        return []
    return [
        Error(
            f'{SETTING_NAME}["PRESENCE_GRACE_SECONDS"] ({settings.presence_grace_seconds}) is longer than '
            f'"PRESENCE_TTL_SECONDS" ({settings.presence_ttl_seconds}): users would stay online '
            "longer after they close a page than after a crash.",
            hint="Make the grace shorter; the defaults are 5 and 60.",
            id="pleme_redis_django.E083",
        )
    ]


def _check_auth(settings: Settings) -> list[CheckMessage]:
    if settings.url is None or not settings.channels or apps.is_installed("django.contrib.auth"):
        return []
    return [
        Warning(
            f'{SETTING_NAME}["CHANNELS"] opens channels, but django.contrib.auth is not installed: open sockets '
            "are not checked again when a user changes.",
            hint="Install django.contrib.auth, or call realtime.control.revoke_user() yourself.",
            id="pleme_redis_django.W084",
        )
    ]


def _check_serving(settings: Settings) -> list[CheckMessage]:
    if settings.url is None or not settings.channels:
        return []
    found: list[CheckMessage] = []
    opened = f'{SETTING_NAME}["CHANNELS"] opens channels'
    if not getattr(django_settings, "ASGI_APPLICATION", None):
        found.append(
            Warning(
                f"{opened}, but ASGI_APPLICATION is not set: a WSGI server cannot serve websockets.",
                hint='Set it to the dotted path of the application that routes "ws/pleme/", and serve it.',
                id="pleme_redis_django.W085",
            )
        )
    if not apps.is_installed("django.contrib.staticfiles"):
        found.append(
            Warning(
                f"{opened}, but django.contrib.staticfiles is not installed: collectstatic does not find pleme.js.",
                hint="Install it, or serve the package's folder static/ yourself.",
                id="pleme_redis_django.W086",
            )
        )
    return found
