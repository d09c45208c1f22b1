"""Where the jobs of a configured pool are kept, and the index that its claims read if it is fair."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool, valid_pools
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.orm_store.fairness.index import FairIndex, fair_index
from pleme_redis_django.orm_store.store import EndListener, OrmJobStore


def job_store(parts: ConfiguredPool) -> JobStore[Any]:
    """Return where the jobs of a pool are kept: the store that its settings name, or else the rows of its model."""
    return parts.own_store or OrmJobStore(parts.model, using=get_settings().database, notices=_end_notices())


def fair_indexes() -> list[FairIndex]:
    """Return the indexes that the fair pools of the settings read, each once."""
    if not any(entry.get("fair") for entry in get_settings().pools.values()):
        return []  # Without resolving a pool, which imports its executor.
    return list(dict.fromkeys(index for parts in valid_pools() for index in fair_indexes_of(parts)))


def fair_indexes_of(parts: ConfiguredPool) -> list[FairIndex]:
    """Return the index that a pool reads if it is fair and its jobs are rows of its model."""
    if not parts.config.shares_between_products or parts.own_store is not None:
        return []
    selection = JobSelection(queue_names=parts.config.queue_names)
    return [fair_index(parts.model, get_settings().database, selection)]


def make_fair_indexes(using: str, verbosity: int = 0, stdout: TextIO = sys.stdout, **_signal: Any) -> None:
    """Make what fair pools read and is not there: the receiver of ``post_migrate``."""
    try:
        indexes = [index for index in fair_indexes() if index.using == using]
    except InvalidSettings:
        return  # Check E001 says it.
    for index in indexes:
        if index.has_table() and index.make() and verbosity:
            stdout.write(f"  Made the index {index.name} for fair pools.\n")


def _end_notices() -> EndListener | None:
    """Return who tells those that wait for jobs, None without Redis, whose modules are then not imported."""
    if get_settings().url is None:
        return None
    from pleme_redis_django.redis_state.wakeups.awaited_jobs import end_notices

    return end_notices
