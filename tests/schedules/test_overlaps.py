"""What becomes of a tick while the previous job of its schedule has not ended."""

from __future__ import annotations

import pytest

from pleme_redis_django.jobs.definitions.schedule_values import Overlap
from pleme_redis_django.models.schedule import TickOutcome
from pleme_redis_django.schedules.overlaps import outcome_of


@pytest.mark.parametrize(
    ("overlap", "is_unended", "is_awaited", "outcome"),
    [
        (Overlap.SKIP, True, False, TickOutcome.OVERLAP),
        (Overlap.QUEUE, True, False, TickOutcome.WAITING),
        (Overlap.QUEUE, True, True, TickOutcome.OVERLAP),
        # The job has ended, and what waited for its end has not fired yet.
        (Overlap.QUEUE, False, True, TickOutcome.OVERLAP),
        (Overlap.ALLOW, True, False, TickOutcome.ENQUEUED),
        (Overlap.REPLACE, True, False, TickOutcome.ENQUEUED),
        *((overlap, False, False, TickOutcome.ENQUEUED) for overlap in Overlap),
    ],
)
def test_each_overlap(overlap: Overlap, is_unended: bool, is_awaited: bool, outcome: TickOutcome) -> None:
    assert outcome_of(overlap, is_unended=is_unended, is_awaited=is_awaited) is outcome
