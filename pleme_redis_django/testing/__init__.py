"""The public test kit, for a project's own test suite.

- ``drain_jobs()``, ``adrain_jobs()``: run what a test enqueued, inside the test's own transaction
- ``assert_enqueued(job, **parameters)``: asserts that a job was enqueued with them; a failure lists what was enqueued
- ``job_context()``: the ``ctx`` to call a handler with
- ``MemoryJobStore``, ``ManualClock``: run the engine without a database, and move time without waiting
- ``JobStoreContract``, ``NewJob``: the conformance suite for a store of your own
- ``TasksBackendContract``: the conformance suite for any backend of django.tasks
- ``servers``: a real PostgreSQL and Redis, started by your suite

Nothing outside of tests, demos and benchmarks should import it, and nothing in the package does.
Names are resolved on first use (PEP 562), so that none costs more than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # What type checkers and editors see instead of __getattr__; a test compares the two.
    from pleme_redis_django.testing.assertions import aassert_enqueued as aassert_enqueued
    from pleme_redis_django.testing.assertions import assert_enqueued as assert_enqueued
    from pleme_redis_django.testing.clock import ManualClock as ManualClock
    from pleme_redis_django.testing.contexts import RecordingJobContext as RecordingJobContext
    from pleme_redis_django.testing.contexts import job_context as job_context
    from pleme_redis_django.testing.draining import DrainSummary as DrainSummary
    from pleme_redis_django.testing.draining import adrain_jobs as adrain_jobs
    from pleme_redis_django.testing.draining import drain_jobs as drain_jobs
    from pleme_redis_django.testing.memory_job import MemoryJob as MemoryJob
    from pleme_redis_django.testing.memory_store import MemoryJobStore as MemoryJobStore
    from pleme_redis_django.testing.store_contract import JobStoreContract as JobStoreContract
    from pleme_redis_django.testing.store_contract import NewJob as NewJob
    from pleme_redis_django.testing.tasks_contract.contract import (
        TasksBackendContract as TasksBackendContract,
    )

_MODULE_OF = {
    "DrainSummary": "draining",
    "JobStoreContract": "store_contract",
    "ManualClock": "clock",
    "MemoryJob": "memory_job",
    "MemoryJobStore": "memory_store",
    "NewJob": "store_contract",
    "RecordingJobContext": "contexts",
    "TasksBackendContract": "tasks_contract.contract",
    "aassert_enqueued": "assertions",
    "adrain_jobs": "draining",
    "assert_enqueued": "assertions",
    "drain_jobs": "draining",
    "job_context": "contexts",
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
