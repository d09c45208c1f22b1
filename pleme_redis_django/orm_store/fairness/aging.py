"""Aging: the order in which a job of low priority is overtaken for a limited time.

A job counts as due ``aging_seconds_per_point`` earlier for each point of its priority. That moment never changes, so
that nothing has to be raised while jobs wait, and an index can be in this order.
"""

from __future__ import annotations

from typing import Any

from django.db.models import DateTimeField, Func


class AgedDueTime(Func):
    """When a job counts as due. Immutable, as the expression of an index has to be: in UTC."""

    output_field = DateTimeField()

    def __init__(self, seconds_per_point: float) -> None:
        super().__init__("run_after", "priority")
        self.seconds_per_point = float(seconds_per_point)

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        (run_after, _), (priority, _) = (compiler.compile(each) for each in self.source_expressions)
        seconds = f"INTERVAL '{self.seconds_per_point!r} seconds'"
        return f"(({run_after} AT TIME ZONE 'UTC') - {priority} * {seconds})", []

    def as_sqlite(self, compiler: Any, connection: Any, **_extra: Any) -> tuple[str, tuple[Any, ...]]:
        (run_after, _), (priority, _) = (compiler.compile(each) for each in self.source_expressions)
        return f"(JULIANDAY({run_after}) * 86400.0 - {priority} * {self.seconds_per_point!r})", ()
