"""Checks of limits: what code and the settings declare of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.configured_pools import valid_pools
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.limits_of_pools import refuse_unkept_limits
from pleme_redis_django.orm_store.flow.declared import differing_declarations, limits_of_settings


def check_limits(**_kwargs: Any) -> Iterator[CheckMessage]:
    """E046: two jobs declare a limit of one name with other numbers. E047: LIMITS has what is not accepted.

    Or what the store of a pool does not keep.
    """
    for name, first, other in differing_declarations():
        yield Error(
            f'{first} and {other} declare the limit "{name}" with other numbers, or differ in shared=. One name is one '
            "limit, whose number they share.",
            hint="Make the Limit or the Rate a constant that both use, or give one of them another key or name.",
            id="pleme_redis_django.E046",
        )
    try:
        limits_of_settings(get_settings().limits)
        for parts in valid_pools():
            refuse_unkept_limits(parts)
    except InvalidSettings as error:
        yield Error(
            str(error),
            hint=f'Correct {SETTING_NAME}["LIMITS"]: {{"QUEUES": {{"mail": Limit(10)}}}}.',
            id="pleme_redis_django.E047",
        )
