"""Where the jobs of a configured pool are kept."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.orm_store.store import OrmJobStore


def job_store(parts: ConfiguredPool) -> JobStore[Any]:
    """Return where the jobs of a pool are kept: the store that its settings name, or else the rows of its model."""
    return parts.own_store or OrmJobStore(parts.model, using=get_settings().database)
