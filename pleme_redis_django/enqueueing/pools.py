"""What an enqueue needs to know about the pools: the namespace of hints and the default of max_retries."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from django.db.models import Model
from django.utils.module_loading import import_string

from pleme_redis_django.conf import Settings, get_settings
from pleme_redis_django.exceptions import EnqueueError
from pleme_redis_django.jobs.interface.retry import DEFAULT_MAX_RETRIES
from pleme_redis_django.jobs.interface.worker_pool_config import DEFAULT_QUEUE_KEY, EVERY_QUEUE, PRESETS
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


def refuse_unkept_order(model: type[Model], queue_name: str) -> None:
    """Raise EnqueueError when a pool that serves the queue has a store without orders: the next would wait for ever."""
    if (found := _pool_without_orders(get_settings(), model_label(model), queue_name)) is not None:
        pool, store = found
        raise EnqueueError(
            f'The job has an order, and the pool "{pool}" serves the queue "{queue_name}" with {store}, which keeps '
            "none (its supports_limits is False). Nothing was stored. Leave out order_key= and in_order=, enqueue it "
            "into a queue of a pool with OrmJobStore, or have the store keep limits and orders."
        )


def _pool_without_orders(settings: Settings, label: str, queue_name: str) -> tuple[str, str] | None:
    for name, pool in settings.pools.items():
        path, queues = pool.get("store"), pool.get("queues", [EVERY_QUEUE])
        serves_it = EVERY_QUEUE in queues or queue_name in queues
        if path is None or not serves_it or str(pool.get("model", JOB_MODEL_LABEL)).lower() != label:
            continue
        if not _keeps_orders(str(path)):
            return name, str(path)
    return None


@functools.lru_cache(maxsize=64)
def _keeps_orders(path: str) -> bool:
    try:
        return bool(import_string(path)().supports_limits)
    except (ImportError, TypeError, AttributeError):
        return True  # A check says what is wrong with it, and no pool starts with it.


def _pool_of(model: type[Model]) -> Mapping[str, Any]:
    label = model_label(model)
    for pool in get_settings().pools.values():
        if str(pool.get("model", JOB_MODEL_LABEL)).lower() == label:
            return pool
    return {}
