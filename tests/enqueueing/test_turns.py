"""Turns of stored jobs: whoever has the next turn after an enqueue is hinted at, in whichever queue it is."""

from __future__ import annotations

import pytest

from pleme_redis_django.enqueueing.pools import hint_namespace
from pleme_redis_django.models import Job
from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints
from tests.faults.jobs import record
from tests.rows import make_job

WAIT_SECONDS = 1.0


@pytest.mark.django_db(transaction=True)
def test_a_worker_of_another_queue_is_woken_when_the_next_of_the_line_is_there() -> None:
    """Who had the turn is gone, and the enqueue is the first to look at the line since."""
    waits = {"status": "BLOCKED", "blocked_on": "o:default:order:7", "order_key": "order:7"}
    first = make_job(queue_name="there", **waits)
    record.using(order_key="order:7", queue_name="here").enqueue()
    assert Job.objects.get(id=first.id).status == "QUEUED"
    for queue_name in ("here", "there"):
        assert RedisHints(queue_name, hint_namespace(Job)).wait_for_hint(WAIT_SECONDS), queue_name
