"""The conditions of a ready row as SQL text, for statements that the ORM cannot write."""

from __future__ import annotations

import functools
from typing import Any

from django.db import connections
from django.db.models.sql import Query

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.indexes import READY_CONDITION
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.pauses import Pauses

_NOT_PAUSED_FOR_ITS_PRODUCT = """
  AND (job.queue_name, job.product)
      NOT IN (SELECT * FROM unnest(%(paused_queues)s::text[], %(paused_products)s::text[]))
"""


@functools.lru_cache(maxsize=64)
def ready_sql(model: type[AbstractJob], using: str) -> str:
    """Return the condition of a ready row with its values in it, as Django writes it into the partial indexes."""
    connection: Any = connections[using]
    query = Query(model, alias_cols=False)
    condition: Any = query.build_where(READY_CONDITION)
    sql, parameters = condition.as_sql(query.get_compiler(using), connection)
    connection.ensure_connection()
    return str(connection.ops.compose_sql(sql, parameters))


def conditions_of(selection: JobSelection, pauses: Pauses) -> tuple[str, dict[str, Any]]:
    """Return what a ready row ``job`` has to meet besides its queue, and the parameters of that.

    Among them ``open``, the named queues that are not paused, and ``closed``, the queues that are.
    """
    conditions = ""
    if selection.product is not None:
        conditions += " AND job.product = %(product)s"
    elif pauses.of_products:
        conditions += _NOT_PAUSED_FOR_ITS_PRODUCT
    if selection.job_types is not None:
        conditions += " AND job.job_type = ANY(%(job_types)s::text[])"
    closed = pauses.closed_queues(selection.product)
    return conditions, {
        "open": [name for name in selection.queue_names or () if name not in closed],
        "closed": sorted(closed),
        "product": selection.product,
        "job_types": sorted(selection.job_types or ()),
        "paused_queues": [queue_name for queue_name, _product in pauses.of_products],
        "paused_products": [product for _queue_name, product in pauses.of_products],
    }


def is_merged(selection: JobSelection, pauses: Pauses) -> bool:
    """Whether the first jobs are looked for queue by queue, past the backlog of a paused one."""
    several = selection.queue_names is None or len(selection.queue_names) > 1
    closed = bool(pauses) and bool(pauses.closed_queues(selection.product))
    return closed and several and not selection.suspects


def has_named_queues(selection: JobSelection) -> bool:
    """Whether several queues are named: their first jobs may stand behind the backlog of another one."""
    return selection.queue_names is not None and len(selection.queue_names) > 1 and not selection.suspects
