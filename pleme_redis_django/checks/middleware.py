"""Checks of job middleware: what is listed can be loaded, and surrounds the handlers that there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.configured_pools import valid_pools
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.middleware.attempts import faults_of_colour
from pleme_redis_django.middleware.loading import LoadedMiddleware, load


def check_middleware(**_kwargs: Any) -> Iterator[CheckMessage]:
    """E003, E004, W005: what MIDDLEWARE lists, what that can surround, and whether ENCRYPTION is used."""
    loaded: list[LoadedMiddleware] = []
    paths = tuple(get_settings().middleware)
    for place, path in enumerate(paths):
        try:
            loaded.append(load(path, paths[:place]))
        except InvalidSettings as error:
            yield Error(
                str(error), hint=f'Correct {SETTING_NAME}["MIDDLEWARE"].', id="pleme_redis_django.E003"
            )
    # What was refused above may have been the one.
    if get_settings().encryption and len(loaded) == len(paths) and not _encrypts(loaded):
        yield Warning(
            f'{SETTING_NAME}["ENCRYPTION"] is set, and {SETTING_NAME}["MIDDLEWARE"] lists no EncryptedParameters, so '
            "nothing is encrypted.",
            hint='Put "pleme_redis_django.middleware.EncryptedParameters" first in MIDDLEWARE.',
            id="pleme_redis_django.W005",
        )
    for parts in valid_pools():
        for fault in faults_of_colour(parts.executor, loaded):
            yield Error(
                f'Pool "{parts.name}": {fault}',
                hint="Write the missing method, or leave the middleware out.",
                id="pleme_redis_django.E004",
            )


def _encrypts(loaded: list[LoadedMiddleware]) -> bool:
    # Not at the top: most projects encrypt nothing.
    from pleme_redis_django.middleware.encryption.job_middleware import EncryptedParameters

    return any(issubclass(one.kind, EncryptedParameters) for one in loaded)
