"""The conditions of a ready row as SQL text, for statements that the ORM cannot write."""

from __future__ import annotations

import functools
from typing import Any

from django.db import connections
from django.db.models import Q
from django.db.models.sql import Query

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.indexes import READY_CONDITION
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.narrowing import narrowed
from pleme_redis_django.orm_store.pauses import Pauses


@functools.lru_cache(maxsize=64)
def ready_sql(model: type[AbstractJob], using: str) -> str:
    """Return the condition of a ready row with its values in it, as Django writes it into the partial indexes."""
    return condition_sql(model, using, READY_CONDITION)


@functools.lru_cache(maxsize=64)
def narrowed_sql(model: type[AbstractJob], using: str, selection: JobSelection, pauses: Pauses) -> str:
    """Return what a ready row has to meet besides being of a named queue, "" or an AND with the condition.

    It goes into a statement with parameters, for which its percent signs are doubled.
    """
    condition = narrowed(selection, pauses)
    return f"AND {condition_sql(model, using, condition)}".replace("%", "%%") if condition else ""


def condition_sql(model: type[AbstractJob], using: str, condition: Q) -> str:
    """Return a condition with its values in it, as Django writes it into partial indexes."""
    connection: Any = connections[using]
    query = Query(model, alias_cols=False)
    where: Any = query.build_where(condition)
    sql, parameters = where.as_sql(query.get_compiler(using), connection)
    connection.ensure_connection()
    return str(connection.ops.compose_sql(sql, parameters))


def queues_of(selection: JobSelection, pauses: Pauses) -> dict[str, Any]:
    """Return the parameters ``open``, the named queues that are not paused, and ``closed``, the queues that are."""
    closed = pauses.closed_queues(selection.product)
    return {
        "open": [name for name in selection.queue_names or () if name not in closed],
        "closed": sorted(closed),
    }


def is_merged(selection: JobSelection, pauses: Pauses) -> bool:
    """Whether the first jobs are looked for queue by queue, past the backlog of a paused one."""
    several = selection.queue_names is None or len(selection.queue_names) > 1
    closed = bool(pauses) and bool(pauses.closed_queues(selection.product))
    return closed and several and not selection.suspects


def has_named_queues(selection: JobSelection) -> bool:
    """Whether several queues are named: their first jobs may stand behind the backlog of another one."""
    return selection.queue_names is not None and len(selection.queue_names) > 1 and not selection.suspects


def is_in_one_order(selection: JobSelection, pauses: Pauses) -> bool:
    """Whether all jobs of the selection are looked for in the order of one index."""
    return not (selection.suspects or is_merged(selection, pauses) or has_named_queues(selection))
