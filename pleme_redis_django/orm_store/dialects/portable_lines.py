"""Lines of strict order in the ORM alone, for SQLite, where one transaction writes at a time."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models.indexes import BLOCKED_CONDITION, LINE_PREFIX, TURN_CONDITION
from pleme_redis_django.orm_store.flow.lines import Line, line_order, lines_of
from pleme_redis_django.orm_store.job_table import JobTable


def let_next(table: JobTable[Any], lines: Collection[Line]) -> list[str]:
    """Give the first of each line its turn where nobody has it; return their queue names."""
    ready: list[str] = []
    if not lines:
        return ready
    with transaction.atomic(using=table.using):
        for line in sorted(lines):
            of_line = table.rows().filter(product=line.product, order_key=line.order_key)
            if of_line.filter(TURN_CONDITION).exists():
                continue
            waiting = of_line.filter(BLOCKED_CONDITION, blocked_on=line.gate, run_after__lte=Now())
            for first in waiting.order_by(*line_order()).only("id", "queue_name")[:1]:
                now_ready = {"status": JobStatus.QUEUED, "blocked_on": None, "updated_at": Now()}
                waiting.filter(pk=first.pk).update(**now_ready)
                ready.append(first.queue_name)
    return ready


def open_lines(table: JobTable[Any]) -> list[Line]:
    waiting = table.rows().filter(BLOCKED_CONDITION, blocked_on__startswith=LINE_PREFIX, run_after__lte=Now())
    turns = table.rows().filter(TURN_CONDITION, product=OuterRef("product"), order_key=OuterRef("order_key"))
    return lines_of(waiting.filter(~Exists(turns)))
