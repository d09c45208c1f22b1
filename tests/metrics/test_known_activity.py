"""What the sampler knows of the queues' activity is read again only when it is old enough."""

from __future__ import annotations

import time

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.metrics.known_activity import RECENT_SECONDS, USUAL_SECONDS, KnownActivity
from pleme_redis_django.metrics.rollups import RollupStore
from tests.metrics.measuring import LABEL

pytestmark = pytest.mark.django_db

RECENT_QUERIES, USUAL_QUERIES = 7, 1


def queries_of(known: KnownActivity, now: float) -> int:
    with CaptureQueriesContext(connections["default"]) as captured:
        known.recent(now)
        known.usual(now)
    return len(captured)


def test_each_part_is_read_again_at_its_own_pace() -> None:
    known, now = KnownActivity(RollupStore(job_model=LABEL, using="default")), time.time()
    assert queries_of(known, now) == RECENT_QUERIES + USUAL_QUERIES
    assert queries_of(known, now + RECENT_SECONDS - 1) == 0
    assert queries_of(known, now + RECENT_SECONDS) == RECENT_QUERIES
    known.forget_recent()
    assert queries_of(known, now + RECENT_SECONDS) == RECENT_QUERIES, "another process went on meanwhile"
    assert queries_of(known, now + USUAL_SECONDS) == RECENT_QUERIES + USUAL_QUERIES
