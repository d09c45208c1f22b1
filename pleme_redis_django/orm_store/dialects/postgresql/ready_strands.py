"""Ready strands: the products that have ready jobs, from the fair index, whose names are jumped from one to the next.

10,000 products take 33 ms; a million jobs of one of them take no longer than one job. A look reads so many at a time,
because every claim waits for it.
"""

from __future__ import annotations

import functools
from typing import Any

from django.db import connections

from pleme_redis_django.jobs.interface.fair_shares import Strand
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import condition_sql, queues_of
from pleme_redis_django.orm_store.fairness.index import FAIR_CONDITION
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.pauses import Pauses

# 3 ms of reading.
MOST_AT_A_TIME = 500

# For the statements whose order is that of the fair index. Where the statistics know of no backlog, sorting what
# another index gives looks as good, and each step of a look would sort all of it.
IN_INDEX_ORDER = "SET LOCAL enable_sort = off"

_PRODUCTS_SQL = """
WITH RECURSIVE strand (product) AS (
  (SELECT product FROM {table} WHERE {ready} {until} AND product > %(after)s ORDER BY product LIMIT 1)
  UNION ALL
  SELECT (SELECT next.product FROM {table} AS next
          WHERE {ready} {until} AND next.product > strand.product ORDER BY next.product LIMIT 1)
  FROM strand WHERE strand.product IS NOT NULL
)
SELECT product, NULL FROM strand WHERE product IS NOT NULL LIMIT %(limit)s
"""
_OF_QUEUES_SQL = """
WITH RECURSIVE strand (queue, product) AS (
  SELECT open.queue, (SELECT first.product FROM {table} AS first
                      WHERE {ready} AND first.queue_name >= open.queue AND first.queue_name <= open.queue
                      ORDER BY first.queue_name, first.product LIMIT 1)
  FROM unnest(%(open)s::text[]) AS open (queue)
  UNION ALL
  SELECT strand.queue, (SELECT next.product FROM {table} AS next
                        WHERE {ready} AND next.queue_name >= strand.queue AND next.queue_name <= strand.queue
                          AND next.product > strand.product
                        ORDER BY next.queue_name, next.product LIMIT 1)
  FROM strand WHERE strand.product IS NOT NULL
)
SELECT product, queue FROM strand WHERE product IS NOT NULL
"""


def ready_strands(
    table: JobTable[M],
    selection: JobSelection,
    pauses: Pauses,
    after: str | None = None,
    until: str | None = None,
) -> tuple[list[Strand], str | None]:
    """Return products that have ready jobs, in each open queue of the selection where it names some.

    They are the first ones, or those after ``after``, up to ``until`` where that is given; and after which product to
    go on, None: these are all. Those of named queues are read at once.
    """
    named = selection.queue_names is not None
    sql = (_OF_QUEUES_SQL if named else _PRODUCTS_SQL).format(
        table=table.sql_name,
        ready=_ready_sql(table.model, table.using),
        until="" if until is None else "AND product <= %(until)s",
    )
    parameters = queues_of(selection, pauses) | {
        "after": after or "",
        "until": until,
        "limit": MOST_AT_A_TIME,
    }
    connection: Any = connections[table.using]
    if not (connection.in_atomic_block or connection.features.uses_server_side_binding):
        sql = f"{IN_INDEX_ORDER}; {sql}"  # In a caller's transaction it would hold until its end.
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        while cursor.nextset():
            pass
        strands = [Strand(*names) for names in cursor.fetchall()]
    has_more = not named and len(strands) == MOST_AT_A_TIME
    return strands, strands[-1].product if has_more else None


@functools.lru_cache(maxsize=64)
def _ready_sql(model: type[AbstractJob], using: str) -> str:
    return condition_sql(model, using, FAIR_CONDITION).replace("%", "%%")
