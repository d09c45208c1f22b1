"""First ready: the first jobs of open queues, beside paused ones and those of others.

The index in claim order holds the backlog of a paused queue too, and of one that others serve: with
300,000 of its jobs first, a claim that filters them out takes 110 ms. So the heads of the open queues
are merged, each from the index of queues, which takes 1 ms; the rows are then locked queue by queue.
"""

from __future__ import annotations

from django.db import connections

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import narrowed_sql, queues_of, ready_sql
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.pauses import Pauses

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


def first_ready(table: JobTable[M], selection: JobSelection, limit: int, pauses: Pauses) -> list[str]:
    """Return the queue name of each of the first ready jobs, paused ones left out; one query."""
    parameters = queues_of(selection, pauses)
    parameters["limit"] = limit
    parts = {
        "table": table.sql_name,
        "ready": ready_sql(table.model, table.using),
        "conditions": narrowed_sql(table.model, table.using, selection, pauses),
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
    with connections[table.using].cursor() as cursor:
        cursor.execute(sql, parameters)
        return [queue_name for (queue_name,) in cursor.fetchall()]
