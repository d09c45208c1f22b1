"""Where the jobs of a configured pool are kept."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.orm_store.store import EndListener, OrmJobStore


def job_store(parts: ConfiguredPool) -> JobStore[Any]:
    """Return where the jobs of a pool are kept: the store that its settings name, or else the rows of its model."""
    return parts.own_store or OrmJobStore(parts.model, using=get_settings().database, notices=_end_notices())


def _end_notices() -> EndListener | None:
    """Return who tells those that wait for jobs, None without Redis, whose modules are then not imported."""
    if get_settings().url is None:
        return None
    from pleme_redis_django.redis_state.wakeups.awaited_jobs import end_notices

    return end_notices
