"""Checks of the ``PLEME_REDIS`` dict itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.conf.hooks import HOOKS, hook
from pleme_redis_django.exceptions import InvalidSettings


def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """E001: PLEME_REDIS has an unknown key or a value that is not accepted."""
    try:
        get_settings()
    except InvalidSettings as error:
        return [
            Error(
                str(error),
                hint=f"Correct {SETTING_NAME} in the settings module.",
                id="pleme_redis_django.E001",
            )
        ]
    return []


def check_hooks(**_kwargs: Any) -> Iterator[CheckMessage]:
    """E002: a setting names a function that cannot be imported or called."""
    for setting in HOOKS:
        try:
            hook(setting)
        except InvalidSettings as error:
            yield Error(
                str(error),
                hint=f'Correct {SETTING_NAME}["{setting}"], or leave it out.',
                id="pleme_redis_django.E002",
            )
