"""What people ask of strict orders: how many jobs wait in each, and for which one. Reads only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.conf import get_settings
from pleme_redis_django.models import AbstractJob, Job
from pleme_redis_django.models.indexes import LINE_PREFIX, TURN_CONDITION
from pleme_redis_django.orm_store.job_table import JobTable

LINES_SHOWN = 25


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LineReport:
    """An order in which jobs wait for the one whose turn it is."""

    product: str
    order_key: str
    waiting: int
    waiting_since: datetime | None
    """Since when the job has waited that waits longest."""
    head: AbstractJob | None
    """The job whose turn it is; None: it has just ended."""


def line_reports(
    scope: ProductScope = EVERY_PRODUCT, *, model: type[AbstractJob] = Job, using: str | None = None
) -> list[LineReport]:
    """Return the orders in which jobs wait, the longest lines first, ``LINES_SHOWN`` at most; two queries."""
    table = JobTable(model, using or get_settings().database)
    waiting = scope.narrow(table.blocked()).filter(blocked_on__startswith=LINE_PREFIX)
    lines = list(
        waiting.values_list("product", "order_key")
        .annotate(jobs=Count("*"), since=Min("updated_at"))
        .order_by("-jobs", "product", "order_key")[:LINES_SHOWN]
    )
    heads = heads_of(table, [(product, key) for product, key, _jobs, _since in lines])
    return [
        LineReport(
            product=product, order_key=key, waiting=jobs, waiting_since=since, head=heads.get((product, key))
        )
        for product, key, jobs, since in lines
    ]


def heads_of(table: JobTable[Any], lines: Sequence[tuple[str, str]]) -> dict[tuple[str, str], AbstractJob]:
    """Return the job whose turn it is, of each product and order key; one query."""
    if not lines:
        return {}
    wanted = Q()
    for product, key in lines:
        wanted |= Q(product=product, order_key=key)
    return {(job.product, job.order_key): job for job in table.rows().filter(TURN_CONDITION).filter(wanted)}
