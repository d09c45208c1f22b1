"""Overlaps: what becomes of a tick while the previous job of its schedule has not ended. Pure."""

from __future__ import annotations

from pleme_redis_django.jobs.definitions.schedule_values import Overlap
from pleme_redis_django.models.schedule import TickOutcome


def outcome_of(overlap: Overlap, *, is_unended: bool, is_awaited: bool) -> TickOutcome:
    """Return whether a tick makes a job, and if not, why.

    ``is_unended``: the previous job waits or runs. ``is_awaited``: a tick waits for its end already.
    """
    if overlap is Overlap.QUEUE and (is_unended or is_awaited):
        return TickOutcome.OVERLAP if is_awaited else TickOutcome.WAITING
    if overlap is Overlap.SKIP and is_unended:
        return TickOutcome.OVERLAP
    return TickOutcome.ENQUEUED
