"""Were the limits, the rate and the orders of the shop kept, and did a flood of one product slow the other?"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

from django.db.models import QuerySet

from example_project.demo.work import OTHER_PRODUCT
from example_project.shop.jobs import (
    ask_price,
    call_courier,
    count_by_country,
    pick_prints,
    print_label,
    wrap_parcel,
)
from pleme_redis_django import AbstractJob, JobStatus

PARCEL_STEPS = (pick_prints.name, wrap_parcel.name, call_courier.name)
LIMITED = (*PARCEL_STEPS, ask_price.name, print_label.name)
# What the supplier allows in a second, and at once after a quiet time.
MOST_CALLS = 5 + 5
# First come, first served lets all of a flood go first. A fair pool lets those go first that find free slots before the
# shop's jobs are seen: some hundreds, which is little of a large flood alone.
MOST_OF_FLOOD = 0.75
LEAST_FLOOD = 1_000


def steps_out_of_order(jobs: QuerySet[AbstractJob]) -> Iterator[str]:
    """Yield the orders whose steps did not run one after the other."""
    # A job that takes orders and is rescued from a killed worker brings the steps of some once more.
    steps: defaultdict[str, list[AbstractJob]] = defaultdict(list)
    for job in jobs.filter(job_type__in=PARCEL_STEPS, status=JobStatus.COMPLETED).order_by(
        "created_at", "id"
    ):
        steps[job.parameters["order"]].append(job)
    for order, in_order in steps.items():
        if any(_begin(later) < _end(job) for job, later in pairwise(in_order)):
            yield f"the steps of the order {order} did not run one after the other"


def starts_over_a_limit(jobs: QuerySet[AbstractJob]) -> Iterator[str]:
    """Yield that two labels were printed at once, or that the supplier was called more often than it allows."""
    started = jobs.exclude(started_at=None).order_by("started_at")
    if any(_begin(later) < _end(job) for job, later in pairwise(started.filter(job_type=print_label.name))):
        yield "two labels were at the printer at once"
    calls = [_begin(job) for job in started.filter(job_type=ask_price.name)]
    # One more than there may be, in less than a second.
    if any(
        (last - first).total_seconds() < 1 for first, last in zip(calls, calls[MOST_CALLS:], strict=False)
    ):
        yield f"the supplier was called more than {MOST_CALLS} times within a second"


def waits_in_words(jobs: QuerySet[AbstractJob]) -> str:
    """Return how long the jobs of each product waited for a worker."""
    waits: defaultdict[str, list[float]] = defaultdict(list)
    claimed = jobs.exclude(job_type__in=LIMITED).exclude(claimed_at=None)
    for product, due, begun in claimed.values_list("product", "run_after", "claimed_at"):
        if begun is not None:
            waits[product].append((begun - due).total_seconds())
    return "; ".join(
        f"{product} {len(seconds):,} jobs, half of them for less than {statistics.median(seconds):.1f} s"
        for product, seconds in sorted(waits.items())
    )


def parts_of_flood_first(jobs: QuerySet[AbstractJob]) -> list[float]:
    """Return, of each job of the shop that stood behind the flood, which part of that started before it.

    Of the flood's own type alone: others take other slots. Counted, and not timed: a busy machine makes all wait
    longer, and changes nothing of who is next. By starts, since a process claims hundreds ahead that give way to a
    product which had none. A row knows its last start alone, so that jobs which ran again tell nothing.
    """
    once = jobs.filter(job_type=count_by_country.name, attempt=1, retry_count=0)
    starts: defaultdict[bool, list[tuple[datetime, datetime]]] = defaultdict(list)
    for product, due, started in once.values_list("product", "run_after", "started_at"):
        if started is not None:
            starts[product == OTHER_PRODUCT].append((due, started))
    parts = []
    for due, started in starts[False]:
        waited = [of_flood for due_then, of_flood in starts[True] if due_then <= due < of_flood]
        if len(waited) >= LEAST_FLOOD:
            parts.append(sum(of_flood < started for of_flood in waited) / len(waited))
    return parts


def slowed_by_flood(jobs: QuerySet[AbstractJob]) -> Iterator[str]:
    """Yield that jobs of the shop waited for the flood of the other product to pass."""
    parts = parts_of_flood_first(jobs)
    if parts and statistics.median(parts) > MOST_OF_FLOOD:
        yield f"{OTHER_PRODUCT} slowed the shop: {flood_in_words(jobs)}"


def flood_in_words(jobs: QuerySet[AbstractJob]) -> str:
    """Return how much of the flood went before jobs of the shop that stood behind it."""
    parts = parts_of_flood_first(jobs)
    if not parts:
        return "no job of the shop stood behind it"
    part = f"{statistics.median(parts):.0%} of it"
    return f"{part} started before half of {len(parts)} jobs of the shop that stood behind it"


def _begin(job: AbstractJob) -> datetime:
    return job.started_at or datetime.max.replace(tzinfo=UTC)


def _end(job: AbstractJob) -> datetime:
    return job.completed_at or job.failed_at or datetime.min.replace(tzinfo=UTC)
