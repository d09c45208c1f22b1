"""Lines of strict order: of the jobs of an order key one has its turn, and the others wait BLOCKED behind it.

The unique turn of the job table says that there is only one. It is passed on after the commit of whatever
ended it, on a snapshot that sees that end; nothing else ever makes a job of a line ready. The order of a line
is that of claims: priority, due time, id. A claim asks nothing: whoever has its turn is an ordinary ready job.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Protocol

from django.db.models import Case, CharField, Expression, F, Q, QuerySet, Value, When
from django.db.models.functions import Concat

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models.indexes import LINE_PREFIX
from pleme_redis_django.orm_store.flow.gates import line_of

IN_LINE = Q(status=JobStatus.BLOCKED, blocked_on__startswith=LINE_PREFIX)
# Of a job with an order key that is due: whoever has begun has its turn already.
GOES_INTO_ITS_LINE = Q(order_key__isnull=False, attempt=0)


class Ordered(Protocol):
    """What of a job says which line it is of."""

    @property
    def product(self) -> str: ...
    @property
    def order_key(self) -> str | None: ...


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Line:
    """The line of one order key of a product."""

    product: str
    order_key: str

    @property
    def gate(self) -> str:
        """What ``blocked_on`` of its waiting jobs says."""
        return line_of(self.product, self.order_key)


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


def lines_of_jobs(jobs: Iterable[Ordered]) -> set[Line]:
    """Return the lines of jobs that are loaded."""
    return {Line(job.product, job.order_key) for job in jobs if job.order_key is not None}


def lines_of(jobs: QuerySet[Any]) -> list[Line]:
    """Return the lines that the jobs stand in or have their turn of."""
    found = jobs.filter(order_key__isnull=False).order_by().values_list("product", "order_key").distinct()
    return sorted(Line(product, order_key) for product, order_key in found)


def line_order() -> tuple[Any, ...]:
    """Return the order of a line."""
    return (F("priority").desc(), "run_after", "id")
