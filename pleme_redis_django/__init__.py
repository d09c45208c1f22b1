"""Durable jobs, presence, typing, pub/sub, caching and locks for Django, scoped to a product.

Where to look:

- ``jobs/``: the engine that runs jobs; knows neither Django nor Redis
- ``models/``, ``orm_store/``, ``enqueueing/``: jobs as rows, through the ORM
- ``redis_state/``: what Redis may forget (presence, typing, pub/sub, cache, locks, wake-up hints)
- ``realtime/``: the websocket consumers
- ``testing/``: the public test kit

Every name that a user types is importable from here, and resolved on first use (PEP 562), so that
importing the package imports no Django.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # What type checkers and editors see instead of __getattr__; a test compares the two.
    from pleme_redis_django.enqueueing import aenqueue as aenqueue
    from pleme_redis_django.enqueueing import aenqueue_many as aenqueue_many
    from pleme_redis_django.enqueueing import enqueue as enqueue
    from pleme_redis_django.enqueueing import enqueue_many as enqueue_many
    from pleme_redis_django.exceptions import Discard as Discard
    from pleme_redis_django.exceptions import ExecutionFailed as ExecutionFailed
    from pleme_redis_django.exceptions import ExecutorError as ExecutorError
    from pleme_redis_django.exceptions import InvalidParameters as InvalidParameters
    from pleme_redis_django.exceptions import JobCancelled as JobCancelled
    from pleme_redis_django.exceptions import JobNotFound as JobNotFound
    from pleme_redis_django.exceptions import JobTimeout as JobTimeout
    from pleme_redis_django.exceptions import LockBusy as LockBusy
    from pleme_redis_django.exceptions import LockLost as LockLost
    from pleme_redis_django.exceptions import ProviderError as ProviderError
    from pleme_redis_django.exceptions import RedisUnavailable as RedisUnavailable
    from pleme_redis_django.exceptions import RetryAfter as RetryAfter
    from pleme_redis_django.exceptions import Snooze as Snooze
    from pleme_redis_django.exceptions import StoreError as StoreError
    from pleme_redis_django.jobs.definitions.declaring import job as job
    from pleme_redis_django.jobs.definitions.limits import Limit as Limit
    from pleme_redis_django.jobs.definitions.limits import Rate as Rate
    from pleme_redis_django.jobs.definitions.schedule import cron as cron
    from pleme_redis_django.jobs.definitions.schedule import every as every
    from pleme_redis_django.jobs.definitions.uniqueness import once_per as once_per
    from pleme_redis_django.jobs.interface.context import JobContext as JobContext
    from pleme_redis_django.jobs.interface.context import current_job_context as current_job_context
    from pleme_redis_django.jobs.interface.executor import JobExecutor as JobExecutor
    from pleme_redis_django.jobs.interface.job import JobClaim as JobClaim
    from pleme_redis_django.jobs.interface.job import JobStatus as JobStatus
    from pleme_redis_django.jobs.interface.job import QueuedJob as QueuedJob
    from pleme_redis_django.jobs.interface.store import JobStore as JobStore
    from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig as WorkerPoolConfig
    from pleme_redis_django.jobs.worker_pool.pool import WorkerPool as WorkerPool
    from pleme_redis_django.models import AbstractJob as AbstractJob
    from pleme_redis_django.models import Job as Job
    from pleme_redis_django.redis_state.cache import CacheManager as CacheManager
    from pleme_redis_django.redis_state.cache import Uncached as Uncached
    from pleme_redis_django.redis_state.cache import cached as cached
    from pleme_redis_django.redis_state.locks import LockManager as LockManager
    from pleme_redis_django.redis_state.presence import PresenceManager as PresenceManager
    from pleme_redis_django.redis_state.presence import TypingManager as TypingManager
    from pleme_redis_django.redis_state.pubsub import PubSubManager as PubSubManager
    from pleme_redis_django.redis_state.wakeups import JobQueue as JobQueue

__version__ = "0.1.0"

_MODULE_OF = {
    "AbstractJob": "models",
    "CacheManager": "redis_state.cache",
    "Discard": "exceptions",
    "ExecutionFailed": "exceptions",
    "ExecutorError": "exceptions",
    "InvalidParameters": "exceptions",
    "Job": "models",
    "JobCancelled": "exceptions",
    "JobClaim": "jobs.interface.job",
    "JobContext": "jobs.interface.context",
    "JobExecutor": "jobs.interface.executor",
    "JobNotFound": "exceptions",
    "JobQueue": "redis_state.wakeups",
    "JobStatus": "jobs.interface.job",
    "JobStore": "jobs.interface.store",
    "JobTimeout": "exceptions",
    "Limit": "jobs.definitions.limits",
    "LockBusy": "exceptions",
    "LockLost": "exceptions",
    "LockManager": "redis_state.locks",
    "PresenceManager": "redis_state.presence",
    "ProviderError": "exceptions",
    "PubSubManager": "redis_state.pubsub",
    "QueuedJob": "jobs.interface.job",
    "Rate": "jobs.definitions.limits",
    "RedisUnavailable": "exceptions",
    "RetryAfter": "exceptions",
    "Snooze": "exceptions",
    "StoreError": "exceptions",
    "TypingManager": "redis_state.presence",
    "Uncached": "redis_state.cache",
    "WorkerPool": "jobs.worker_pool.pool",
    "WorkerPoolConfig": "jobs.interface.worker_pool_config",
    "aenqueue": "enqueueing",
    "aenqueue_many": "enqueueing",
    "cached": "redis_state.cache",
    "cron": "jobs.definitions.schedule",
    "current_job_context": "jobs.interface.context",
    "enqueue": "enqueueing",
    "enqueue_many": "enqueueing",
    "every": "jobs.definitions.schedule",
    "job": "jobs.definitions.declaring",
    "once_per": "jobs.definitions.uniqueness",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    except RuntimeError as error:
        # Django's own words are about whichever model comes first, below eighty lines of imports.
        if "isn't in an application in INSTALLED_APPS" not in str(error):
            raise
        from django.core.exceptions import ImproperlyConfigured

        raise ImproperlyConfigured(
            f'{name} needs the tables of {__name__}: add "{__name__}" to INSTALLED_APPS, and run manage.py migrate.'
        ) from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
