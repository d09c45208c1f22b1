"""KnownPauses: which queues are closed to claims as far as this process has read, and for how long that holds.

While nothing is paused a claim reads no table for it: a condition that PostgreSQL evaluates once per
statement makes the claim come back empty when there is a pause that this process does not know yet.
"""

from __future__ import annotations

import time
from typing import Any

from django.db.models import CharField, Value

from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED, Pauses

# While something is paused, what is known is read again after this: so soon a resume is noticed.
REREAD_SECONDS = 0.5


class KnownPauses:
    """What a store knows of the pauses of its model, and for how long it may rely on it."""

    def __init__(self, table: JobTable[Any]) -> None:
        self.last_read = NOTHING_PAUSED
        self.saw_limits = False
        """Whether the last read saw that there are limits: it is one question for both."""
        self._table = table
        self._read_at = 0.0

    def current(self) -> Pauses:
        """Return the pauses, read again only while something is paused."""
        if self.last_read and time.monotonic() - self._read_at >= REREAD_SECONDS:
            self.read_again()
        return self.last_read

    def read_again(self) -> bool:
        """Read the pauses; return whether they differ from what was known."""
        before, self._read_at = self.last_read, time.monotonic()
        self.last_read, self.saw_limits = read_pauses(self._table)
        return self.last_read != before


def read_pauses(table: JobTable[Any]) -> tuple[Pauses, bool]:
    """Return the pauses of a job model that are committed now, and whether it has limits."""
    text = Value("", CharField())
    pauses = table.pauses().order_by().values_list("id", "queue_name", "product")
    limits = table.limits().order_by().values_list("id", text, text)
    both = sorted(pauses.union(limits, all=True))
    # No queue has an empty name.
    found = [row for row in both if row[1]]
    paused = Pauses(
        ids=tuple(pause_id for pause_id, _queue, _product in found),
        queue_names=frozenset(queue_name for _id, queue_name, product in found if not product),
        of_products=frozenset((queue_name, product) for _id, queue_name, product in found if product),
    )
    return paused, len(found) < len(both)
