"""What an enqueue needs to know about the pools: the namespace of hints and the default of max_retries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from pleme_redis_django.conf import Settings, get_settings
from pleme_redis_django.jobs.interface.retry import DEFAULT_MAX_RETRIES
from pleme_redis_django.jobs.interface.worker_pool_config import DEFAULT_QUEUE_KEY, PRESETS
from pleme_redis_django.models import Job, model_label

JOB_MODEL_LABEL = model_label(Job)
# With the settings that they are from. Asked for by each enqueue; a project has a few models.
_namespaces: dict[type[Model], tuple[Settings, str]] = {}


def hints_enabled() -> bool:
    """Whether there is a Redis to hint to."""
    return get_settings().url is not None


def hint_namespace(model: type[Model]) -> str:
    """Return the ``queue_key`` of the pools that serve a job model."""
    settings, kept = get_settings(), _namespaces.get(model)
    if kept is None or kept[0] is not settings:
        namespace = str(_pool_of(model).get("queue_key") or default_queue_key(model_label(model)))
        kept = _namespaces[model] = (settings, namespace)
    return kept[1]


def default_queue_key(label: str) -> str:
    """Return the namespace of a model's hints when its pool names none: models never share one."""
    return DEFAULT_QUEUE_KEY if label == JOB_MODEL_LABEL else f"{DEFAULT_QUEUE_KEY}.{label}"


def pool_max_retries(model: type[Model]) -> int:
    """Return the ``max_retries`` of a job for which neither the enqueue nor ``@job`` says any."""
    pool = _pool_of(model)
    preset = PRESETS.get(str(pool.get("preset")), {})
    return int(pool.get("max_retries", preset.get("max_retries", DEFAULT_MAX_RETRIES)))


def pool_deadline(model: type[Model]) -> float | None:
    """Return the ``deadline`` of a job for which neither the enqueue nor ``@job`` says any."""
    deadline: float | None = _pool_of(model).get("deadline")
    return deadline


def _pool_of(model: type[Model]) -> Mapping[str, Any]:
    label = model_label(model)
    for pool in get_settings().pools.values():
        if str(pool.get("model", JOB_MODEL_LABEL)).lower() == label:
            return pool
    return {}
