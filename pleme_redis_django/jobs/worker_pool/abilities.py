"""What the jobs of a pool ask of its store, and whether it can do that: asked before anything starts."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.exceptions import StoreError
from pleme_redis_django.jobs.interface.executor import JobExecutor, LimitingExecutor
from pleme_redis_django.jobs.interface.store import JobStore

NAMED_TYPES = 5


def check_abilities(executor: JobExecutor[Any], store: JobStore[Any]) -> None:
    """Raise StoreError when jobs declare limits and the store keeps none: they would run without any."""
    if not isinstance(executor, LimitingExecutor) or store.supports_limits:
        return
    limited = sorted(executor.limited_job_types())
    if limited:
        named = ", ".join(limited[:NAMED_TYPES]) + (", ..." if len(limited) > NAMED_TYPES else "")
        raise StoreError(
            f"{type(store).__name__} keeps no limits (its supports_limits is False), and these jobs declare some: "
            f"{named}. Keep the jobs in OrmJobStore, have the store keep limits and say supports_limits, or leave "
            "limits= out of these jobs."
        )
