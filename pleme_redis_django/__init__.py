"""Durable jobs, presence, typing, pub/sub, caching and locks for Django, scoped to a product.

Where to look:

- ``jobs/``: the engine that runs jobs; knows neither Django nor Redis
- ``models.py``, ``orm_store/``, ``enqueueing.py``: jobs as rows, through the ORM
- ``redis_state/``: what Redis may forget (presence, typing, pub/sub, cache, locks, wake-up hints)
- ``realtime/``: the websocket consumers
- ``testing/``: the public test kit

Every name that a user types is importable from here, and resolved on first use (PEP 562), so that
importing the package imports no Django.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

_MODULE_OF = {
    "AbstractJob": "models",
    "ExecutionFailed": "exceptions",
    "ExecutorError": "exceptions",
    "InvalidParameters": "exceptions",
    "Job": "models",
    "JobCancelled": "exceptions",
    "JobClaim": "jobs.job",
    "JobContext": "jobs.context",
    "JobExecutor": "jobs.executor",
    "JobNotFound": "exceptions",
    "JobQueue": "redis_state.job_queue",
    "JobStatus": "jobs.job",
    "JobStore": "jobs.store",
    "LockBusy": "exceptions",
    "LockLost": "exceptions",
    "LockManager": "redis_state.locks",
    "PresenceManager": "redis_state.presence",
    "ProviderError": "exceptions",
    "PubSubManager": "redis_state.pubsub",
    "QueuedJob": "jobs.job",
    "RedisUnavailable": "exceptions",
    "StoreError": "exceptions",
    "TypingManager": "redis_state.typing_indicators",
    "WorkerPool": "jobs.worker_pool",
    "WorkerPoolConfig": "jobs.worker_pool_config",
    "aenqueue": "enqueueing",
    "aenqueue_many": "enqueueing",
    "current_job_context": "jobs.context",
    "enqueue": "enqueueing",
    "enqueue_many": "enqueueing",
    "job": "jobs.registry",
    "once_per": "jobs.uniqueness",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
