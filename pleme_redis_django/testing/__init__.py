"""The public test kit: what a project's own suite may import.

- ``drain_jobs()``, ``adrain_jobs()``: run what a test enqueued, inside the test's own transaction
- ``assert_enqueued(job, **parameters)``: that a job was enqueued so; a failure lists what was instead
- ``MemoryJobStore``, ``ManualClock``: the engine without a database, and time without waiting
- ``JobStoreContract``, ``NewJob``: the conformance suite for a store of your own
- ``servers``: a real PostgreSQL and Redis, started by your suite

Nothing outside of tests, demos and benchmarks should import it, and nothing in the package does.
Names are resolved on first use (PEP 562), so that none costs more than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULE_OF = {
    "JobStoreContract": "store_contract",
    "ManualClock": "clock",
    "MemoryJob": "memory_job",
    "MemoryJobStore": "memory_store",
    "NewJob": "store_contract",
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
