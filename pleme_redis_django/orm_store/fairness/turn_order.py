"""The order of the jobs of one product in a fair claim: by priority, or by their aged due time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import F, QuerySet

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.claim_request import claim_order
from pleme_redis_django.orm_store.fairness.aging import AgedDueTime
from pleme_redis_django.orm_store.job_table import M


def turn_order(selection: JobSelection) -> Callable[[AbstractJob], tuple[Any, ...]]:
    """Return the sort key of the jobs of one product in a selection."""
    aging = selection.aging_seconds_per_point
    if aging is None:
        return claim_order
    return lambda job: (job.run_after - timedelta(seconds=job.priority * aging), job.id.int)


def in_turn_order(rows: QuerySet[M], selection: JobSelection, *first: str) -> QuerySet[M]:
    """Return the rows of one product in their order; behind that of the columns ``first``, which are constant."""
    aging = selection.aging_seconds_per_point
    if aging is None:
        return rows.order_by(*first, F("priority").desc(), "run_after", "id")
    return rows.order_by(*first, AgedDueTime(aging), "id")
