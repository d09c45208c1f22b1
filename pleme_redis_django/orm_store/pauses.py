"""Pauses: which queues of a job model are closed to claims, as a value."""

from __future__ import annotations

import dataclasses

from django.db.models import Q

from pleme_redis_django.jobs.interface.selection import JobSelection


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


def is_closed(selection: JobSelection, pauses: Pauses) -> bool:
    """Whether every queue of a selection is paused, so that nothing can be claimed."""
    names = selection.queue_names
    return names is not None and pauses.closed_queues(selection.product).issuperset(names)
