"""The project's functions that settings name by a dotted path: imported once, then kept.

A system check asks each of them, so that one that is missing is told at the start and not on the first page.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.utils.module_loading import import_string

from pleme_redis_django.conf import SETTING_NAME, Settings, forget_on_change, get_settings
from pleme_redis_django.conf.accepted import Hook
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.ranges import said_beside_fields

HOOKS: dict[str, Hook] = {
    field.upper(): said for field, said in said_beside_fields(Settings).items() if isinstance(said, Hook)
}
"""Each setting that names a function."""


@cache
def hook(setting: str) -> Callable[..., Any] | None:
    """Return the function that the setting names, None where it names none.

    Raises InvalidSettings for a path that cannot be imported, or not be called.
    """
    path: str | None = getattr(get_settings(), setting.lower())
    if path is None:
        return None
    accepted = f"Accepted: the dotted path of {HOOKS[setting].signature}."
    try:
        function = import_string(path)
    except ImportError as error:
        raise InvalidSettings(
            f'{SETTING_NAME}["{setting}"] is {path!r}, which cannot be imported: {error}. {accepted}'
        ) from error
    if not callable(function):
        raise InvalidSettings(
            f'{SETTING_NAME}["{setting}"] is {path!r}, which is {function!r:.80} and cannot be called. {accepted}'
        )
    found: Callable[..., Any] = function
    return found


forget_on_change(hook.cache_clear)
