"""Pauses: which queues are closed to claims as far as this process has read, and a guard against newer ones.

While nothing is paused a claim reads no table for it: a condition that PostgreSQL evaluates once per
statement makes the claim come back empty when there is a pause that this process does not know yet.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from django.db.models import Exists, Q

from pleme_redis_django.jobs.interface.store import JobSelection
from pleme_redis_django.models import AbstractJob, QueuePause, model_label

# While something is paused, what is known is read again after this: so soon a resume is noticed.
REREAD_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """The pauses of one job model, as they were read."""

    ids: tuple[int, ...] = ()
    queue_names: frozenset[str] = frozenset()
    """Paused for every product."""
    of_products: frozenset[tuple[str, str]] = frozenset()
    """Queue name and product of the others."""

    def closed_queues(self, product: str | None) -> frozenset[str]:
        """Return the queues of which nothing may be claimed for a product; None: for any."""
        own = {queue_name for queue_name, paused in self.of_products if paused == product}
        return self.queue_names | own

    def condition(self, product: str | None) -> Q:
        """Return what jobs of a product, or of any, have to meet."""
        condition = Q()
        if closed := self.closed_queues(product):
            condition &= ~Q(queue_name__in=sorted(closed))
        if product is None:
            for queue_name, paused in sorted(self.of_products):
                condition &= ~Q(queue_name=queue_name, product=paused)
        return condition

    def __bool__(self) -> bool:
        return bool(self.ids)


NOTHING_PAUSED = Pauses()


def none_but(known: Pauses, model: type[AbstractJob], using: str) -> Any:
    """Return the condition that every pause of the model is a known one, whatever the row."""
    pauses = QueuePause._base_manager.using(using).filter(job_model=model_label(model))
    return ~Exists(pauses.exclude(id__in=known.ids) if known.ids else pauses)


def read_pauses(model: type[AbstractJob], using: str) -> Pauses:
    """Return the pauses of a job model that are committed now."""
    rows = QueuePause._base_manager.using(using).filter(job_model=model_label(model)).order_by("id")
    found = list(rows.values_list("id", "queue_name", "product"))
    return Pauses(
        ids=tuple(pause_id for pause_id, _queue, _product in found),
        queue_names=frozenset(queue_name for _id, queue_name, product in found if not product),
        of_products=frozenset((queue_name, product) for _id, queue_name, product in found if product),
    )


class KnownPauses:
    """What a store knows of the pauses of its model, and for how long it may rely on it."""

    def __init__(self, model: type[AbstractJob], using: str) -> None:
        self.last_read = NOTHING_PAUSED
        self._model = model
        self._using = using
        self._read_at = 0.0

    def current(self) -> Pauses:
        """Return the pauses, read again only while something is paused."""
        if self.last_read and time.monotonic() - self._read_at >= REREAD_SECONDS:
            self.read_again()
        return self.last_read

    def read_again(self) -> bool:
        """Read the pauses; return whether they differ from what was known."""
        before, self._read_at = self.last_read, time.monotonic()
        self.last_read = read_pauses(self._model, self._using)
        return self.last_read != before


def is_closed(selection: JobSelection, pauses: Pauses) -> bool:
    """Whether every queue of a selection is paused, so that nothing can be claimed."""
    names = selection.queue_names
    return names is not None and pauses.closed_queues(selection.product).issuperset(names)
