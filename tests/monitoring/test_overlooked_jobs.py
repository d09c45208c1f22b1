"""What the duty for overlooked jobs has found: counted by the process that finds, and told on the dashboard."""

from __future__ import annotations

import pytest

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.jobs.interface.events import NullSink, OverlookedJobsReleased
from pleme_redis_django.metrics.ending_counter import EndingCounter
from pleme_redis_django.metrics.tally_writer import TallyWriter
from pleme_redis_django.models import QueueRollup
from pleme_redis_django.monitoring.snapshot import snapshot
from tests.metrics.measuring import LABEL, a_sampler

pytestmark = pytest.mark.django_db


def told(scope: ProductScope = EVERY_PRODUCT) -> list[tuple[str, str]]:
    reasons = snapshot(scope).health.reasons
    return [(reason.level, reason.text) for reason in reasons if "nothing held them" in reason.text]


def test_finds_of_the_last_hour_are_a_note_for_those_who_see_every_product() -> None:
    assert told() == []
    tallies = TallyWriter(EndingCounter(NullSink()), job_model=LABEL, using="default")
    for count in (2, 3):
        tallies.counter.emit(OverlookedJobsReleased(count))
        tallies.store()
    a_sampler().turn()
    (note,) = told()
    assert note[0] == "note"
    assert note[1].startswith(
        "5 jobs waited at a limit or in a line in the last hour although nothing held them"
    )
    assert told(ProductScope(products=frozenset(["acme"]))) == []
    QueueRollup.objects.update(started_at=0)
    assert told() == []
