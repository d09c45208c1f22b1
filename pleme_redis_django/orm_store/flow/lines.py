"""Lines of strict order: of the jobs of an order key one has its turn, and the others wait BLOCKED behind it.

The unique turn of the job table says that there is only one. It is passed on after the commit of whatever
ended it, on a snapshot that sees that end; nothing else ever makes a job of a line ready. The order of a line
is that of claims: priority, due time, id. A claim asks nothing: whoever has its turn is an ordinary ready job.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import DatabaseError, IntegrityError, connections
from django.db.models import Case, CharField, Expression, F, Q, QuerySet, Value, When
from django.db.models.functions import Concat

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models.indexes import LINE_PREFIX
from pleme_redis_django.orm_store.connection import sqlstate_of
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import any_of

if TYPE_CHECKING:
    from pleme_redis_django.orm_store.dialects.dialect import Dialect

TRIES = 3
# serialization_failure and deadlock_detected: the same transaction may succeed when it is run again.
_START_AGAIN = ("40001", "40P01")

IN_LINE = Q(status=JobStatus.BLOCKED, blocked_on__startswith=LINE_PREFIX)
# Of a job with an order key that is due: whoever has begun has its turn already.
GOES_INTO_ITS_LINE = Q(order_key__isnull=False, attempt=0)


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Line:
    """The line of one order key of a product."""

    product: str
    order_key: str

    @property
    def gate(self) -> str:
        """What ``blocked_on`` of its waiting jobs says."""
        return f"{LINE_PREFIX}{self.product}:{self.order_key}"


def gate_of_line() -> Expression:
    """Return the gate of a row's own line, as an expression."""
    return Concat(Value(LINE_PREFIX), "product", Value(":"), "order_key", output_field=CharField())


def ready_or_in_line(in_line: Q = GOES_INTO_ITS_LINE) -> dict[str, Expression]:
    """Return what makes due rows QUEUED, and those that ``in_line`` names BLOCKED in their lines."""
    return {
        "status": Case(
            When(in_line, then=Value(JobStatus.BLOCKED.value)),
            default=Value(JobStatus.QUEUED.value),
            output_field=CharField(),
        ),
        "blocked_on": Case(
            When(in_line, then=gate_of_line()), default=Value(None), output_field=CharField(null=True)
        ),
    }


def lines_of(jobs: QuerySet[Any]) -> list[Line]:
    """Return the lines that the jobs stand in or have their turn of."""
    found = jobs.filter(order_key__isnull=False).order_by().values_list("product", "order_key").distinct()
    return sorted(Line(product, order_key) for product, order_key in found)


def lines_of_ids(table: JobTable[Any], job_ids: Sequence[UUID]) -> list[Line]:
    """Return the lines of these jobs; a query."""
    return lines_of(table.rows().filter(any_of("id", job_ids)))


def let_next(dialect: Dialect, table: JobTable[Any], lines: Collection[Line]) -> list[str]:
    """Give the first of each line its turn where nobody has it; return the queue name of each that is ready now.

    To be called when what may have ended a turn is committed. It may be called for any line at any time.
    """
    if not lines:
        return []
    wanted = sorted(lines)
    inside = connections[table.using].in_atomic_block
    for _try in range(TRIES - 1):
        try:
            return dialect.let_next(table, wanted)
        except DatabaseError as error:
            # Inside a caller's transaction nothing can be tried again, and a turn that was taken by hand
            # meanwhile shows only to a new snapshot.
            if inside or not (isinstance(error, IntegrityError) or sqlstate_of(error) in _START_AGAIN):
                raise
    return dialect.let_next(table, wanted)


def open_lines(dialect: Dialect, table: JobTable[Any]) -> list[Line]:
    """Return the lines in which somebody waits and nobody has its turn."""
    return dialect.open_lines(table)


def has_turn() -> Q:
    """Return the condition that a waiting job of an order key has its turn."""
    return Q(order_key__isnull=False, deleted_at=None) & (
        Q(status=JobStatus.QUEUED)
        | Q(status=JobStatus.PENDING, attempt__gt=0)
        | (Q(status=JobStatus.BLOCKED) & ~Q(blocked_on__startswith=LINE_PREFIX))
    )


def line_order() -> tuple[Any, ...]:
    """Return the order of a line."""
    return (F("priority").desc(), "run_after", "id")
