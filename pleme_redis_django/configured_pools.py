"""The pools of the settings, resolved: what each runs, from which table, how. Builds none of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.utils.module_loading import import_string

from pleme_redis_django.conf import SETTING_NAME, get_settings, resolve_product
from pleme_redis_django.enqueueing.pools import JOB_MODEL_LABEL, default_queue_key
from pleme_redis_django.exceptions import InvalidProduct, InvalidSettings
from pleme_redis_django.jobs.definitions.registry import RegistryExecutor
from pleme_redis_django.jobs.interface.bounds import NO_BOUNDS, Bounds
from pleme_redis_django.jobs.interface.executor import JobExecutor, async_job_types_of, known_job_types
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.interface.worker_pool_config import PRESETS, WorkerPoolConfig
from pleme_redis_django.jobs.worker.retry_rules import errors_of_pool, rule_of_pool
from pleme_redis_django.middleware.attempts import in_middleware
from pleme_redis_django.middleware.loading import loaded_middleware
from pleme_redis_django.models import AbstractJob, Job
from pleme_redis_django.wording import did_you_mean

# What the column WorkerProcess.pool holds.
POOL_NAME_MAX_LENGTH = 64
_PART_KEYS = frozenset({"model", "executor", "store", "preset"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredPool:
    """One pool of the settings, resolved: what to run, from which table, how."""

    name: str
    config: WorkerPoolConfig
    model: type[AbstractJob]
    executor: JobExecutor[Any]
    own_store: JobStore[Any] | None
    """The store that the settings name; None: the rows of ``model``."""


def pool_names() -> list[str]:
    return list(get_settings().pools)


def configured_pool(name: str, overrides: Mapping[str, Any] | None = None) -> ConfiguredPool:
    """Return the parts of a pool. Raises InvalidSettings for an unknown pool, field, path or number."""
    pools = get_settings().pools
    if name not in pools:
        hint = did_you_mean(name, pools, otherwise=f"Known pools: {', '.join(pools) or 'none'}.")
        raise InvalidSettings(f'{SETTING_NAME}["POOLS"] has no pool "{name}". {hint}')
    if not 1 <= len(name) <= POOL_NAME_MAX_LENGTH:
        raise InvalidSettings(
            f'{SETTING_NAME}["POOLS"] has a pool named "{name}", of {len(name)} characters. '
            f"Accepted: 1 to {POOL_NAME_MAX_LENGTH}, because the row of each worker process names its pool."
        )
    entry = pools[name]
    model = _model(name, entry.get("model", JOB_MODEL_LABEL))
    return ConfiguredPool(
        name=name,
        config=pool_config(name, entry, overrides or {}),
        model=model,
        executor=_built(name, "executor", "execute", entry) or RegistryExecutor(),
        own_store=_built(name, "store", "claim_next_job", entry),
    )


def pool_config(name: str, entry: Mapping[str, Any], overrides: Mapping[str, Any]) -> WorkerPoolConfig:
    """Return the config of a pool: preset, then the settings, then the overrides."""
    preset_name = overrides.get("preset", entry.get("preset"))
    if preset_name is not None and preset_name not in PRESETS:
        raise InvalidSettings(
            f'Pool "{name}": preset is {preset_name!r}. Accepted: {", ".join(sorted(PRESETS))}.'
        )
    label = str(entry.get("model", JOB_MODEL_LABEL)).lower()
    fields = {"queue_key": default_queue_key(label)} | PRESETS.get(preset_name or "", {})
    for source in (entry, overrides):
        fields |= {key: value for key, value in source.items() if key not in _PART_KEYS}
    try:
        if fields.get("product") is not None:
            resolve_product(fields["product"])
        config = WorkerPoolConfig.from_mapping(fields)
        if config.aging_seconds_per_point != config.aging:
            raise InvalidSettings(
                f"aging_seconds_per_point is {config.aging_seconds_per_point}, and the pool is not fair. Accepted: "
                "with fair=True, in a pool of every product; None."
            )
        # A path that names nothing is told here, and by the check.
        rule_of_pool(config)
        errors_of_pool(config)
        return config
    except (InvalidSettings, InvalidProduct) as error:
        raise InvalidSettings(f'Pool "{name}": {error}') from None


def executor_of(parts: ConfiguredPool) -> JobExecutor[Any]:
    """Return what runs the jobs of a pool: its executor, in the middleware of the settings where they list any.

    Raises InvalidSettings for middleware that is refused.
    """
    if not get_settings().middleware:
        return parts.executor
    return in_middleware(parts.executor, loaded_middleware())


def valid_pools() -> Iterator[ConfiguredPool]:
    """Yield the pools that can be built; check E020 reports the others."""
    for name in pool_names():
        try:
            yield configured_pool(name)
        except InvalidSettings:
            continue


def fires_schedules(parts: ConfiguredPool) -> bool:
    """Whether the processes of a pool fire schedules, whose jobs are of the package's own model."""
    return parts.model is Job and isinstance(parts.executor, RegistryExecutor)


def known_types_of_models() -> dict[type[AbstractJob], frozenset[str] | None]:
    """Return the types that the pools of each model run; None: one of them runs any."""
    known: dict[type[AbstractJob], frozenset[str] | None] = {}
    for parts in valid_pools():
        types = known_job_types(parts.executor)
        before = known.get(parts.model, frozenset())
        known[parts.model] = None if types is None or before is None else before | types
    return known


def bounds_of_pools(model: type[AbstractJob]) -> Bounds:
    """Return what the first pool of a job model says of attempts for which nobody else says it."""
    return next((parts.config.bounds for parts in valid_pools() if parts.model is model), NO_BOUNDS)


def is_async_type(model: type[AbstractJob], job_type: str) -> bool | None:
    """Return whether jobs of a type take an async slot; None: no pool of the model knows the type."""
    for parts in valid_pools():
        if parts.model is model:
            async_types, known = async_job_types_of(parts.executor), known_job_types(parts.executor)
            if known is None or job_type in known:
                return async_types is None or job_type in async_types
    return None


def _model(pool: str, label: object) -> type[AbstractJob]:
    try:
        model = apps.get_model(str(label))
    except (LookupError, ValueError) as error:
        raise InvalidSettings(
            f'Pool "{pool}": model is {label!r}, and {error}. Accepted: "app_label.ModelName".'
        ) from None
    if not issubclass(model, AbstractJob):
        raise InvalidSettings(f'Pool "{pool}": the model {label} does not inherit from AbstractJob.')
    return model


def _built(pool: str, part: str, method: str, entry: Mapping[str, Any]) -> Any:
    """Return an instance of the class that the dotted path names, None when there is no path."""
    path = entry.get(part)
    if path is None:
        return None
    accepted = f"Accepted: the dotted path of a class with {method}() that is built without arguments."
    if not isinstance(path, str):
        raise InvalidSettings(f'Pool "{pool}": {part} is {path!r}. {accepted}')
    try:
        built = import_string(path)()
    except (ImportError, TypeError) as error:
        raise InvalidSettings(f'Pool "{pool}": {part} is {path!r}, and {error}. {accepted}') from None
    if not callable(getattr(built, method, None)):
        raise InvalidSettings(f'Pool "{pool}": {part} is {path!r}, which has no {method}(). {accepted}')
    return built
