"""Tally: what ended in some span of time, as numbers that add up. Knows no database and no clock."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pleme_redis_django.metrics import histogram
from pleme_redis_django.metrics.histogram import Histogram

QueueKey = tuple[str, str]
"""Product and queue name; an empty one stands for all."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one queue; the depths are the maximum of all measurements."""

    completed: int = 0
    retried: int = 0
    failed: int = 0
    cancelled: int = 0
    waits: Histogram = dataclasses.field(default_factory=Counter)
    runs: Histogram = dataclasses.field(default_factory=Counter)
    overlooked: int = 0
    """Jobs that waited although nothing held them: of no queue, but of all together."""
    ready: int = 0
    running: int = 0
    blocked: int = 0

    def add(self, other: Tally) -> None:
        """Add what ended in the same queue at another time."""
        self._add_counts(other)
        self.ready = max(self.ready, other.ready)
        self.running = max(self.running, other.running)
        self.blocked = max(self.blocked, other.blocked)

    def add_queue(self, other: Tally) -> None:
        """Add what ended in another queue at the same time: there the depths add up."""
        self._add_counts(other)
        self.ready += other.ready
        self.running += other.running
        self.blocked += other.blocked

    def _add_counts(self, other: Tally) -> None:
        self.completed += other.completed
        self.retried += other.retried
        self.failed += other.failed
        self.cancelled += other.cancelled
        self.waits.update(other.waits)
        self.runs.update(other.runs)
        self.overlooked += other.overlooked


def with_totals(tallies: Mapping[QueueKey, Tally]) -> dict[QueueKey, Tally]:
    """Return the tallies of queues, and those of each product and of everything."""
    totals: dict[QueueKey, Tally] = {("", ""): Tally()}
    for (product, _queue), tally in tallies.items():
        # Jobs of a model without products count only in the total.
        if product:
            totals.setdefault((product, ""), Tally()).add_queue(tally)
        totals["", ""].add_queue(tally)
    return {**tallies, **totals}


def to_json(tallies: Mapping[QueueKey, Tally]) -> list[list[Any]]:
    """Return the counts as a worker process stores them: a list for each queue."""
    return [
        [
            *key,
            tally.completed,
            tally.retried,
            tally.failed,
            tally.cancelled,
            histogram.to_json(tally.waits),
            histogram.to_json(tally.runs),
            tally.overlooked,
        ]
        for key, tally in tallies.items()
    ]


def from_json(stored: Iterable[Iterable[Any]]) -> dict[QueueKey, Tally]:
    return {(product, queue): tally_of(counts) for product, queue, *counts in stored}


def tally_of(values: Iterable[Any]) -> Tally:
    """Return the tally that is stored as these values; without depths, where none were measured."""
    completed, retried, failed, cancelled, waits, runs, overlooked, *depths = values
    ready, running, blocked = depths or (0, 0, 0)
    return Tally(
        completed=completed,
        retried=retried,
        failed=failed,
        cancelled=cancelled,
        waits=histogram.from_json(waits),
        runs=histogram.from_json(runs),
        overlooked=overlooked,
        ready=ready,
        running=running,
        blocked=blocked,
    )
