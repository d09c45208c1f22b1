"""Open queues: the first ready jobs beside paused queues and those of others. PostgreSQL only.

The index in claim order holds the backlog of a paused queue too, and of one that others serve: with
300,000 of its jobs first, a claim that filters them out takes 110 ms. So the heads of the open queues
are merged, each from the index of queues, which takes 1 ms; the rows are then locked queue by queue.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_CRASHES
from pleme_redis_django.jobs.interface.store import JobSelection
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.pauses import Pauses

READY = f"status = 'QUEUED' AND deleted_at IS NULL AND crash_count < {SUSPECT_AFTER_CRASHES}"

# Each step jumps to the next name in the index of queues (a "loose index scan"; PostgreSQL has none).
_EVERY_QUEUE = """
  (SELECT queue_name FROM {table} WHERE {ready} ORDER BY queue_name LIMIT 1)
  UNION ALL
  SELECT (SELECT next.queue_name FROM {table} AS next
          WHERE {ready} AND next.queue_name > names.queue_name ORDER BY next.queue_name LIMIT 1)
  FROM names WHERE names.queue_name IS NOT NULL
"""

# No row is locked here: a lock on the first rows of each queue would hide them from other workers.
# Said as a range, the order of one queue is one that the index of queues alone has. Said as an equation, a
# planner whose statistics know the backlog's queue alone reads all of it in claim order for another one's.
_HEAD = """(
  SELECT id, queue_name, priority, run_after FROM {table} AS job
  WHERE job.queue_name >= {queue_name} AND job.queue_name <= {queue_name} AND {ready} {conditions}
  ORDER BY job.queue_name, priority DESC, run_after, id LIMIT %(limit)s
)"""
_HEADS_OF_EVERY_QUEUE = """
WITH RECURSIVE names (queue_name) AS ({every_queue})
SELECT head.* FROM names CROSS JOIN LATERAL {head} AS head
WHERE names.queue_name <> ALL(%(closed)s::text[])
"""
_FIRST_READY = """
SELECT queue_name FROM ({heads}) AS head
ORDER BY priority DESC, run_after, id LIMIT %(limit)s
"""
_NOT_PAUSED_FOR_ITS_PRODUCT = """
  AND (job.queue_name, job.product)
      NOT IN (SELECT * FROM unnest(%(paused_queues)s::text[], %(paused_products)s::text[]))
"""


def first_ready(
    model: type[AbstractJob], using: str, selection: JobSelection, limit: int, pauses: Pauses
) -> list[str]:
    """Return the queue name of each of the first ready jobs, paused ones left out; one query."""
    connection = connections[using]
    conditions, parameters = conditions_of(selection, pauses)
    parameters["limit"] = limit
    parts = {
        "table": connection.ops.quote_name(model._meta.db_table),
        "ready": READY,
        "conditions": conditions,
    }
    if selection.queue_names is None:
        head = _HEAD.format(queue_name="names.queue_name", **parts)
        heads = _HEADS_OF_EVERY_QUEUE.format(every_queue=_EVERY_QUEUE.format(**parts), head=head)
    else:
        # Each name for itself: of one out of a list, the planner cannot tell that it has few rows, and
        # may read the whole backlog of others in claim order.
        keys = {f"queue_{number}": name for number, name in enumerate(parameters["open"])}
        heads = " UNION ALL ".join(_HEAD.format(queue_name=f"%({key})s", **parts) for key in keys)
        parameters |= keys
    if not heads:
        return []
    sql = _FIRST_READY.format(heads=heads)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [queue_name for (queue_name,) in cursor.fetchall()]


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
