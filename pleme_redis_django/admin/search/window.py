"""Bounds a search that no index can answer to the newest 100,000 jobs.

Among a million jobs a rare queue, product or parameter would else be looked for in every row. The
page says how far it looked, and links to the jobs before.
"""

from __future__ import annotations

import dataclasses
import uuid
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from pleme_redis_django.admin.search.conditions import id_time
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.orm_store.job_table import status_condition

WINDOW_JOBS = 100_000
# Their index is in the order of ids, so that the newest ones of them are as near as the newest of all.
_BY_ID = frozenset({JobStatus.FAILED, JobStatus.CANCELLED})
_ALIVE = frozenset({*WAITING_STATUSES, JobStatus.RUNNING})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The newest jobs, and where they end."""

    jobs: int
    before_id: uuid.UUID
    """Of the newest job that was not looked at."""

    @property
    def since(self) -> datetime:
        """When the oldest job that was looked at was created, about."""
        return id_time(self.before_id)


def newest_jobs(rows: QuerySet[Any], by_id: Q, statuses: frozenset[JobStatus] | None) -> Window | None:
    """Return the window of a question about ``rows``, None when all of them can be looked at.

    ``rows``: without a condition of their own. ``by_id``: what the question asks of the primary key.
    """
    everything = rows.filter(by_id).order_by("-id")
    if statuses and statuses <= _BY_ID:
        return _window(everything.filter(status_condition(statuses), deleted_at=None))
    if statuses and len(statuses) == 1 and statuses <= _ALIVE and _is_small(everything, statuses):
        return None
    return _window(everything)


def _is_small(rows: QuerySet[Any], statuses: frozenset[JobStatus]) -> bool:
    alive = rows.order_by().filter(status_condition(statuses), deleted_at=None)
    return bool(alive[: WINDOW_JOBS + 1].count() <= WINDOW_JOBS)


def _window(rows: QuerySet[Any]) -> Window | None:
    before_id = rows.values_list("id", flat=True)[WINDOW_JOBS : WINDOW_JOBS + 1].first()
    return None if before_id is None else Window(jobs=WINDOW_JOBS, before_id=before_id)
