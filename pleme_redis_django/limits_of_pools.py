"""Limits of settings and operators, and pools whose store keeps none: such a pool would run jobs without them."""

from __future__ import annotations

from collections.abc import Iterable

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.configured_pools import ConfiguredPool, valid_pools
from pleme_redis_django.exceptions import InvalidSettings, StoreError
from pleme_redis_django.jobs.interface.executor import known_job_types
from pleme_redis_django.models import AbstractJob, model_label
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
        if _is_for(parts, valid_pools(), kind, name):
            raise InvalidSettings(
                f'{SETTING_NAME}["LIMITS"]["{_SECTION_OF[kind]}"]["{name}"] limits jobs of the pool "{parts.name}", '
                f"whose {type(parts.own_store).__name__} keeps no limits (its supports_limits is False): they would "
                "run without any. Keep the jobs in OrmJobStore, have the store keep limits and say supports_limits, "
                "or take the entry out."
            )


def refuse_unkept_limit(model: type[AbstractJob], kind: LimitKind, name: str, *, product: str = "") -> None:
    """Raise StoreError when an operator's limit is for jobs of a pool of this model, and its store keeps no limits.

    It is for the same pools as an entry of LIMITS, but of one job model alone. ``product``: of whose jobs alone it is,
    "" of every product's.
    """
    pools = [
        parts
        for parts in valid_pools()
        if parts.model is model and not (product and parts.config.product not in (None, product))
    ]
    for parts in pools:
        if not _keeps_limits(parts) and _is_for(parts, pools, kind, name):
            raise StoreError(
                f"The limit of the {kind.value} {name!r} is for jobs of {model_label(model)} that the pool "
                f'"{parts.name}" runs, whose {type(parts.own_store).__name__} keeps no limits (its supports_limits is '
                "False): they would run without it. Keep the jobs in OrmJobStore, or have the store keep limits and "
                "say supports_limits."
            )


def _is_for(parts: ConfiguredPool, pools: Iterable[ConfiguredPool], kind: LimitKind, name: str) -> bool:
    """Whether the limit is for jobs of this pool, which keeps none, beside those that there are."""
    names_it = _names(parts, kind, name)
    if names_it is not None:
        return names_it
    others = (other for other in pools if other.name != parts.name and _keeps_limits(other))
    return all(_names(other, kind, name) is False for other in others)


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
