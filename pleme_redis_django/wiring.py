"""Builds worker pools: the only module that knows all parts of the engine."""

from __future__ import annotations

import dataclasses
from typing import Any

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool, executor_of, fires_schedules
from pleme_redis_django.event_log import EngineEvents
from pleme_redis_django.job_stores import job_store
from pleme_redis_django.jobs.interface.calls import WorkerCalls
from pleme_redis_django.jobs.interface.events import EventSink
from pleme_redis_django.jobs.interface.executor import count_slots, known_job_types
from pleme_redis_django.jobs.interface.hints import HintQueue
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity, new_worker_id
from pleme_redis_django.jobs.worker.isolation import Isolation
from pleme_redis_django.jobs.worker.suspects import SuspectRule
from pleme_redis_django.jobs.worker_pool.pool import WorkerPool
from pleme_redis_django.limits_of_pools import refuse_unkept_limits
from pleme_redis_django.orm_store.handler_connections import DatabaseScope
from pleme_redis_django.orm_store.worker_registry import OrmWorkerRegistry
from pleme_redis_django.schedules.book import OrmScheduleBook
from pleme_redis_django.schedules.declaring import declared_here


def build_pool(
    parts: ConfiguredPool,
    *,
    worker_id: str | None = None,
    sink: EventSink | None = None,
    burst: bool = False,
    release: str = "",
    page_fd: int | None = None,
    suspects: SuspectRule = SuspectRule.BESIDE,
    has_supervisor: bool = False,
    isolation: Isolation | None = None,
) -> WorkerPool[Any]:
    """Return a pool that is ready to be launched in this process.

    Raises InvalidSettings or StoreError when jobs or settings ask for what its store cannot do.
    """
    refuse_unkept_limits(parts)
    config = parts.config
    is_quarantine = suspects is SuspectRule.ONLY
    if is_quarantine:
        config = _with_one_slot(config)
    threads, tasks = count_slots(parts.executor, config.worker_count, config.async_count)
    description = WorkerDescription(
        worker_id=worker_id or new_worker_id(),
        pool=parts.name,
        queues=config.queues,
        product=config.product,
        slots=threads + tasks,
        async_slots=tasks,
        release=release,
        job_types=known_job_types(parts.executor),
        lease_seconds=config.lease_seconds,
        declared_schedules=declared_here() if fires_schedules(parts) else (),
        is_quarantine=is_quarantine,
    )
    identity = WorkerIdentity(description)
    database = get_settings().database
    return WorkerPool(
        config,
        hint_queue(config),
        executor_of(parts),
        job_store(parts),
        registry=OrmWorkerRegistry(using=database),
        calls=worker_calls(),
        schedules=OrmScheduleBook(using=database, identity=identity) if fires_schedules(parts) else None,
        identity=identity,
        sink=sink or EngineEvents(),
        scope=DatabaseScope(),
        max_results_bytes=get_settings().max_results_bytes,
        burst=burst,
        page_fd=page_fd,
        suspects=suspects,
        has_supervisor=has_supervisor,
        isolation=isolation,
    )


def _with_one_slot(config: WorkerPoolConfig) -> WorkerPoolConfig:
    """Return the config of a process that runs one job at a time, of either kind."""
    return dataclasses.replace(
        config, worker_count=min(config.worker_count, 1), async_count=min(config.async_count, 1)
    )


def worker_calls() -> WorkerCalls | None:
    """Return how a worker process is called, None without Redis, whose modules are then not imported."""
    if get_settings().url is None:
        return None
    from pleme_redis_django.redis_state.wakeups.worker_calls import RedisWorkerCalls

    return RedisWorkerCalls()


def hint_queue(config: WorkerPoolConfig) -> HintQueue | None:
    """Return the hints that wake a pool, None when it has to scan.

    A pool of one product scans too: it would pop hints of other products, and nobody else would
    be woken for them.
    """
    if get_settings().url is None or config.product is not None:
        return None
    from pleme_redis_django.redis_state.wakeups.naming_hints import MOST_READ, NamingHints

    # A flood is of any type, as a rule, and its hints are not worth reading for that alone.
    most_read = None if config.shares_between_products else MOST_READ
    return NamingHints(config.queues, config.queue_key, most_read=most_read)
