"""The ``PLEME_REDIS`` dict as one frozen, validated value: the only reader of Django's settings.

Every key is optional. An unknown key and a number out of range fail when the settings are first
read (at start, by ``apps.ready()``), never in the middle of a request. The fields of one pool are
checked by ``WorkerPoolConfig``, which owns them; what a value may be is said beside its field.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from pleme_redis_django.conf import accepted
from pleme_redis_django.conf.retention import objection_to_retention
from pleme_redis_django.exceptions import InvalidProduct, InvalidSettings
from pleme_redis_django.products import validate_product
from pleme_redis_django.ranges import Whole, said_beside_fields
from pleme_redis_django.wording import did_you_mean

SETTING_NAME = "PLEME_REDIS"
KIB = 1024
MIB = 1024 * KIB
DAY_SECONDS = 24 * 3600


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one project; field names are the keys of ``PLEME_REDIS`` in lower case."""

    url: Annotated[str | None, accepted.redis_url] = "redis://127.0.0.1:6379/0"
    """Redis URL (``redis://``, ``rediss://``, ``unix://``). None: jobs poll the database."""

    product: Annotated[str | None, accepted.optional_product] = "default"
    """Product of a call that names none. None (a multi-tenant project): such a call raises."""

    product_resolver: Annotated[str | None, accepted.Hook("resolver(scope_or_request)")] = None
    """Dotted path of ``resolver(scope_or_request) -> product``; None: the setting ``PRODUCT``."""

    cache_alias: Annotated[str, accepted.text] = "default"
    """The Django cache behind CacheManager."""

    cache_max_value_bytes: Annotated[int, Whole(1, 64 * MIB)] = MIB
    """Size limit of one cached value as JSON, in bytes."""

    database: Annotated[str, accepted.text] = "default"
    """Alias of the database that holds the job tables."""

    pools: Annotated[Mapping[str, Mapping[str, Any]], accepted.named_mappings] = dataclasses.field(
        default_factory=lambda: {"default": {}}
    )
    """Pool name -> fields of WorkerPoolConfig, and ``model``, ``executor``, ``store``, ``preset``."""

    product_weights: Annotated[Mapping[str, float], accepted.weights] = dataclasses.field(
        default_factory=dict
    )
    """Product -> its weight in pools that are fair; a product that is not named has 1."""

    channels: Annotated[Mapping[str, Any], accepted.mapping] = dataclasses.field(default_factory=dict)
    """Channel pattern -> who may subscribe, publish, be present and type. Nothing is open by default."""

    authorize: Annotated[str | None, accepted.Hook("authorize(scope, action, channel)")] = None
    """Dotted path of ``authorize(scope, action, channel) -> bool`` (or async); None: ``CHANNELS`` decides."""

    allow_anonymous: Annotated[bool, accepted.boolean] = False
    """Whether a websocket without a logged-in user is accepted."""

    allowed_origins: Annotated[Sequence[str], accepted.texts] = ()
    """Origins from which websockets are accepted, as ``https://shop.example``; empty: ``ALLOWED_HOSTS``."""

    revalidate_seconds: Annotated[int, Whole(5, 3600)] = 60
    """How often a socket's user, session and permissions are looked at again, in seconds."""

    realtime_limits: Annotated[Mapping[str, Any], accepted.mapping] = dataclasses.field(default_factory=dict)
    """Fields of ``realtime.limits.ClientLimits`` that differ from their defaults."""

    presence_ttl_seconds: Annotated[int, Whole(3, 3600)] = 60
    """How long a connection counts as online after its last heartbeat, in seconds."""

    presence_grace_seconds: Annotated[int, Whole(0, 300)] = 5
    """How long a user whose socket closed stays online, so that a page reload is unseen."""

    last_seen_seconds: Annotated[int, Whole(60, 366 * DAY_SECONDS)] = 30 * DAY_SECONDS
    """How long ``last_seen`` remembers a user, in seconds."""

    typing_ttl_seconds: Annotated[int, Whole(1, 60)] = 6
    """How long a user counts as typing after the last sign of it, in seconds."""

    replay_messages: Annotated[int, Whole(1, 100_000)] = 1000
    """How many messages of a head are kept for replay."""

    replay_seconds: Annotated[int, Whole(1, DAY_SECONDS)] = 300
    """How long they are kept after the last one, in seconds."""

    job_events: Annotated[Sequence[str], accepted.texts] = ()
    """Job types whose progress and endings are published as ``job:<id>``; ``"*"`` is every type."""

    max_event_bytes: Annotated[int, Whole(1, MIB)] = 64 * KIB
    """Size limit of one published event as UTF-8 JSON, in bytes."""

    max_parameters_bytes: Annotated[int, Whole(1, 64 * MIB)] = 256 * KIB
    """Size limit of one job's parameters as UTF-8 JSON, in bytes."""

    max_results_bytes: Annotated[int, Whole(1, 64 * MIB)] = MIB
    """Size limit of one job's result as UTF-8 JSON, in bytes."""

    dashboard_products: Annotated[str | None, accepted.Hook("f(user)")] = None
    """Dotted path of ``f(user) -> collection of products``, or of None for all; None: everyone sees all."""

    dashboard_max_wait: Annotated[Mapping[str, float], accepted.waits] = dataclasses.field(
        default_factory=lambda: {"*": 300}
    )
    """Queue name -> how long its ready jobs may wait, in seconds; ``"*"``: the queues that are not named."""

    retention: Annotated[Mapping[str, Any], objection_to_retention] = dataclasses.field(default_factory=dict)
    """Status -> how long finished jobs are kept (``timedelta``, seconds, or None for ever); ``"QUEUES"`` and
    ``"PRODUCTS"``: name -> the same. Default: COMPLETED 7 days, CANCELLED 30, FAILED 90."""

    limits: Annotated[Mapping[str, Any], accepted.mapping] = dataclasses.field(default_factory=dict)
    """``"KEYS"``, ``"TYPES"``, ``"QUEUES"`` and ``"PRODUCTS"``: name -> ``Limit``, ``Rate``, or a list of them."""

    middleware: Annotated[Sequence[str], accepted.texts] = ()
    """Dotted paths of job middleware, the outermost first: around each enqueue and each attempt."""

    encryption: Annotated[Mapping[str, Any], accepted.mapping] = dataclasses.field(
        default_factory=dict, repr=False
    )
    """``KEYS``, ``JOB_TYPES``, ``RESULTS``, ``SEARCHABLE`` and ``DIGEST_KEY`` of the middleware EncryptedParameters."""

    redact: Annotated[str | None, accepted.Hook("f(job, field, value)")] = None
    """Dotted path of ``f(job, field, value) -> value``: what the admin shows of a job; None: everything."""


_CHECKS = said_beside_fields(Settings)


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
        expected = accepted.objection(_CHECKS[field], value)
        if expected is not None:
            shown = _SHOWN.get(field, repr)(value)
            raise InvalidSettings(f'{SETTING_NAME}["{key}"] is {shown}. Accepted: {expected}.')
        values[field] = value
    return Settings(**values)


def _without_password(url: object) -> str:
    return re.sub(r"//[^/]*@", "//***@", repr(url))


def _kind_alone(value: object) -> str:
    return f"a {type(value).__name__}"


_SHOWN: Mapping[str, Callable[[object], str]] = {"url": _without_password, "encryption": _kind_alone}
"""How a message shows the value of a setting that may have a secret in it."""


def _field_of(key: object) -> str:
    if isinstance(key, str) and key.isupper() and key.lower() in _CHECKS:
        return key.lower()
    known = [field.upper() for field in _CHECKS]
    hint = did_you_mean(str(key).upper(), known, otherwise=f"Known keys: {', '.join(known)}.")
    raise InvalidSettings(f'{SETTING_NAME} has the unknown key "{key}". {hint}')


def forget_on_change(forget: Callable[[], object], *, of: str = SETTING_NAME) -> None:
    """Call ``forget`` whenever a test has overridden the setting ``of``."""

    def on_change(*, setting: str, **_kwargs: object) -> None:
        if setting == of:
            forget()

    setting_changed.connect(on_change, weak=False)


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


forget_on_change(get_settings.cache_clear)
