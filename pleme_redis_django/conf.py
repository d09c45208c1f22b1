"""The ``PLEME_REDIS`` dict as one frozen, validated value: the only reader of Django's settings.

Every key is optional. An unknown key and a number out of range fail when the settings are first
read (at start, by ``apps.ready()``), never in the middle of a request. The fields of one pool are
checked by ``WorkerPoolConfig``, which owns them.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from pleme_redis_django.exceptions import InvalidProduct, InvalidSettings
from pleme_redis_django.products import validate_product

SETTING_NAME = "PLEME_REDIS"
KIB = 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one project; field names are the keys of ``PLEME_REDIS`` in lower case."""

    url: str | None = "redis://127.0.0.1:6379/0"
    """Redis URL (``redis://``, ``rediss://``, ``unix://``). None: jobs poll the database."""

    product: str | None = "default"
    """Product of a call that names none. None (a multi-tenant project): such a call raises."""

    product_resolver: str | None = None
    """Dotted path of ``resolver(scope_or_request) -> product``; None: the setting ``PRODUCT``."""

    cache_alias: str = "default"
    """The Django cache behind CacheManager."""

    cache_max_value_bytes: int = 1024 * KIB
    """Size limit of one cached value as JSON, in bytes (1 to 64 MiB)."""

    database: str = "default"
    """Alias of the database that holds the job tables."""

    pools: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=lambda: {"default": {}})
    """Pool name -> fields of WorkerPoolConfig, and ``model``, ``executor``, ``store``, ``preset``."""

    channels: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Channel pattern -> who may subscribe, publish, be present and type. Nothing is open by default."""

    authorize: str | None = None
    """Dotted path of ``authorize(scope, action, channel) -> bool`` (or async); None: ``CHANNELS`` decides."""

    allow_anonymous: bool = False
    """Whether a websocket without a logged-in user is accepted."""

    allowed_origins: Sequence[str] = ()
    """Origins from which websockets are accepted, as ``https://shop.example``; empty: ``ALLOWED_HOSTS``."""

    revalidate_seconds: int = 60
    """How often a socket's user, session and permissions are looked at again, in seconds (5 to 3,600)."""

    realtime_limits: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of ``realtime.limits.Limits`` that differ from their defaults."""

    presence_ttl_seconds: int = 60
    """How long a connection counts as online after its last heartbeat, in seconds (3 to 3,600)."""

    presence_grace_seconds: int = 5
    """How long a user whose socket closed stays online, so that a page reload is unseen (0 to 300)."""

    last_seen_seconds: int = 30 * 24 * 3600
    """How long ``last_seen`` remembers a user, in seconds (60 to 31,622,400)."""

    typing_ttl_seconds: int = 6
    """How long a user counts as typing after the last sign of it, in seconds (1 to 60)."""

    replay_messages: int = 1000
    """How many messages of a head are kept for replay (1 to 100,000)."""

    replay_seconds: int = 300
    """How long they are kept after the last one, in seconds (1 to 86,400)."""

    job_events: Sequence[str] = ()
    """Job types whose progress and endings are published as ``job:<id>``; ``"*"`` is every type."""

    max_event_bytes: int = 64 * KIB
    """Size limit of one published event as UTF-8 JSON, in bytes (1 to 1 MiB)."""

    max_parameters_bytes: int = 256 * KIB
    """Size limit of one job's parameters as UTF-8 JSON, in bytes (1 to 64 MiB)."""

    max_results_bytes: int = 1024 * KIB
    """Size limit of one job's result as UTF-8 JSON, in bytes (1 to 64 MiB)."""

    dashboard_products: str | None = None
    """Dotted path of ``f(user) -> collection of products``, or of None for all; None: everyone sees all."""

    dashboard_max_wait: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"*": 300})
    """Queue name -> how long its ready jobs may wait, in seconds; ``"*"``: the queues that are not named."""

    redact: str | None = None
    """Dotted path of ``f(job, field, value) -> value``: what the admin shows of a job; None: everything."""


# Each check returns what is accepted when the value is not, and None when it is.
_Check = Callable[[Any], str | None]


def _whole_number(low: int, high: int) -> _Check:
    def check(value: object) -> str | None:
        if type(value) is int and low <= value <= high:
            return None
        return f"a whole number from {low:,} to {high:,}"

    return check


def _texts(value: object) -> str | None:
    if isinstance(value, list | tuple) and all(isinstance(each, str) and each for each in value):
        return None
    return "a list of non-empty strings"


def _boolean(value: object) -> str | None:
    return None if isinstance(value, bool) else "True or False"


def _text(value: object) -> str | None:
    return None if isinstance(value, str) and value else "a non-empty string"


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value) and "a non-empty string, or None"


def _redis_url(value: object) -> str | None:
    schemes = ("redis://", "rediss://", "unix://")
    if value is None:
        return None
    if not isinstance(value, str) or not value.startswith(schemes):
        return f"a URL that starts with {', '.join(schemes)}, or None to run without Redis"
    options = [name for name, _ in parse_qsl(urlsplit(value).query, keep_blank_values=True)]
    refused = [name for name in options if name != "db" and not name.startswith("ssl_")]
    if refused:
        return (
            f"in its query db and ssl_* only, not {', '.join(refused)}: how connections answer, wait and try again "
            "is set for each use by this package, which would misread other replies"
        )
    return None


def _optional_product(value: object) -> str | None:
    if value is None:
        return None
    try:
        validate_product(value)
    except InvalidProduct as error:
        return f"None, or a product name. {str(error).rstrip('.')}"
    return None


def _named_mappings(value: object) -> str | None:
    if isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(entry, Mapping) for name, entry in value.items()
    ):
        return None
    return "a dict of dicts, keyed by name"


def _waits(value: object) -> str | None:
    if isinstance(value, Mapping) and all(
        isinstance(name, str) and type(seconds) in (int, float) and 0 < seconds < float("inf")
        for name, seconds in value.items()
    ):
        return None
    return 'a dict of queue name (or "*") to seconds, more than 0'


def _mapping(value: object) -> str | None:
    return None if isinstance(value, Mapping) else "a dict"


_CHECKS: dict[str, _Check] = {
    "url": _redis_url,
    "product": _optional_product,
    "product_resolver": _optional_text,
    "cache_alias": _text,
    "cache_max_value_bytes": _whole_number(1, 64 * KIB * KIB),
    "database": _text,
    "pools": _named_mappings,
    "channels": _mapping,
    "authorize": _optional_text,
    "allow_anonymous": _boolean,
    "allowed_origins": _texts,
    "revalidate_seconds": _whole_number(5, 3600),
    "realtime_limits": _mapping,
    "presence_ttl_seconds": _whole_number(3, 3600),
    "presence_grace_seconds": _whole_number(0, 300),
    "last_seen_seconds": _whole_number(60, 366 * 24 * 3600),
    "typing_ttl_seconds": _whole_number(1, 60),
    "replay_messages": _whole_number(1, 100_000),
    "replay_seconds": _whole_number(1, 24 * 3600),
    "job_events": _texts,
    "max_event_bytes": _whole_number(1, KIB * KIB),
    "max_parameters_bytes": _whole_number(1, 64 * KIB * KIB),
    "max_results_bytes": _whole_number(1, 64 * KIB * KIB),
    "dashboard_products": _optional_text,
    "dashboard_max_wait": _waits,
    "redact": _optional_text,
}


def build_settings(raw: object) -> Settings:
    """Return the validated settings of a ``PLEME_REDIS`` dict.

    Raises InvalidSettings for an unknown key (naming the nearest known one) and for a value that
    is not accepted (naming it and what is).
    """
    if not isinstance(raw, Mapping):
        raise InvalidSettings(f"{SETTING_NAME} is {raw!r}. Accepted: a dict; every key of it is optional.")
    values: dict[str, Any] = {}
    for key, value in raw.items():
        field = _field_of(key)
        expected = _CHECKS[field](value)
        if expected is not None:
            shown = _without_password(value) if field == "url" else repr(value)
            raise InvalidSettings(f'{SETTING_NAME}["{key}"] is {shown}. Accepted: {expected}.')
        values[field] = value
    return Settings(**values)


def _without_password(url: object) -> str:
    return re.sub(r"//[^/]*@", "//***@", repr(url))


def _field_of(key: object) -> str:
    if isinstance(key, str) and key.isupper() and key.lower() in _CHECKS:
        return key.lower()
    known = [field.upper() for field in _CHECKS]
    near = difflib.get_close_matches(str(key).upper(), known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(known)}."
    raise InvalidSettings(f'{SETTING_NAME} has the unknown key "{key}". {hint}')


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the project's settings, read once and again after ``setting_changed``."""
    return build_settings(getattr(django_settings, SETTING_NAME, {}))


def resolve_product(product: str | None) -> str:
    """Return ``product`` when given and valid, else the one that the settings name.

    Raises InvalidProduct when it is invalid, or when neither names one.
    """
    if product is not None:
        return validate_product(product)
    configured = get_settings().product
    if configured is None:
        raise InvalidProduct(
            f'No product was given, and {SETTING_NAME}["PRODUCT"] is None, so there is no default. '
            "Name one: LockManager(product), .using(product=...)."
        )
    return configured


def _forget_settings(*, setting: str, **_kwargs: object) -> None:
    if setting == SETTING_NAME:
        get_settings.cache_clear()


setting_changed.connect(_forget_settings, dispatch_uid="pleme_redis_django.conf")
