"""What TASKS says about one alias of the backend: its OPTIONS, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidName, InvalidSettings
from pleme_redis_django.jobs.definitions.options import RETRIES
from pleme_redis_django.jobs.interface.bounds import TIMEOUTS
from pleme_redis_django.products import validate_product
from pleme_redis_django.wording import did_you_mean


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """The OPTIONS of an alias; None where it has none of its own."""

    pool: str | None = None
    """Whose workers run the tasks; checks compare its queues with the alias's."""
    product: str | None = None
    """Of tasks that are enqueued outside of a job, and name none."""
    max_retries: int | None = None
    """Of tasks that say nothing themselves."""
    timeout: float | None = None
    """Seconds that an attempt of such a task may run."""


def options_of(alias: str, given: object) -> BackendOptions:
    """Return the options of an alias. Raises InvalidSettings for a key or a value that is not accepted."""
    place = f'TASKS["{alias}"]["OPTIONS"]'
    if not isinstance(given, Mapping):
        raise InvalidSettings(f"{place} is {given!r}. Accepted: a dict of {', '.join(_KEYS)}.")
    for key in given:
        if key not in _KEYS:
            hint = did_you_mean(str(key), _KEYS, otherwise=f"Accepted: {', '.join(_KEYS)}.")
            raise InvalidSettings(f"{place} has no option {key!r}. {hint}")
    options = {_KEYS[key]: value for key, value in given.items() if value is not None}
    _check(place, options)
    return BackendOptions(**options)


_KEYS = {"POOL": "pool", "PRODUCT": "product", "MAX_RETRIES": "max_retries", "TIMEOUT": "timeout"}


def _check(place: str, options: Mapping[str, Any]) -> None:
    pools = get_settings().pools
    if "pool" in options and options["pool"] not in pools:
        raise InvalidSettings(
            f'{place}["POOL"] is {options["pool"]!r}, which PLEME_REDIS["POOLS"] does not have. '
            f"Accepted: {', '.join(pools) or 'the name of a pool'}."
        )
    if "max_retries" in options and not RETRIES.accepts(options["max_retries"]):
        raise InvalidSettings(
            f'{place}["MAX_RETRIES"] is {options["max_retries"]!r}. Accepted: {RETRIES}, or None for the pool\'s.'
        )
    if "timeout" in options and not TIMEOUTS.accepts(options["timeout"]):
        raise InvalidSettings(
            f'{place}["TIMEOUT"] is {options["timeout"]!r}. Accepted: {TIMEOUTS}, or None for the pool\'s.'
        )
    if "product" in options:
        try:
            validate_product(options["product"])
        except InvalidName as error:
            raise InvalidSettings(f'{place}["PRODUCT"]: {error}') from None
