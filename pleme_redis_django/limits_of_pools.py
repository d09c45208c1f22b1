"""Limits of the settings, and pools whose store keeps none: such a pool would run jobs without their limit."""

from __future__ import annotations

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.configured_pools import ConfiguredPool, valid_pools
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.jobs.interface.executor import known_job_types
from pleme_redis_django.models.flow_limit import LimitKind
from pleme_redis_django.orm_store.flow.declared import SECTIONS, limits_of_settings

_SECTION_OF = {kind: section for section, kind in SECTIONS.items()}


def refuse_unkept_limits(parts: ConfiguredPool) -> None:
    """Raise InvalidSettings when LIMITS has an entry for jobs of this pool, and its store keeps no limits.

    An entry of a queue, a type or a product that the pool names is for it. One that it may meet because it runs
    whatever there is, and one of a key, is for it unless a pool that may meet it keeps limits.
    """
    if _keeps_limits(parts):
        return
    for (kind, name), _declared in limits_of_settings(get_settings().limits):
        is_for_it = _names(parts, kind, name)
        if is_for_it is None:
            others = (other for other in valid_pools() if other.name != parts.name and _keeps_limits(other))
            is_for_it = all(_names(other, kind, name) is False for other in others)
        if is_for_it:
            raise InvalidSettings(
                f'{SETTING_NAME}["LIMITS"]["{_SECTION_OF[kind]}"]["{name}"] limits jobs of the pool "{parts.name}", '
                f"whose {type(parts.own_store).__name__} keeps no limits (its supports_limits is False): they would "
                "run without any. Keep the jobs in OrmJobStore, have the store keep limits and say supports_limits, "
                "or take the entry out."
            )


def _keeps_limits(parts: ConfiguredPool) -> bool:
    return parts.own_store is None or parts.own_store.supports_limits


def _names(parts: ConfiguredPool, kind: LimitKind, name: str) -> bool | None:
    """Whether the pool runs what the limit is of; None: it does not say what it runs, and may."""
    if kind == LimitKind.PRODUCT:
        return None if parts.config.product is None else parts.config.product == name
    if kind == LimitKind.KEY:
        return None
    names = parts.config.queue_names if kind == LimitKind.QUEUE else known_job_types(parts.executor)
    return None if names is None else name in names
