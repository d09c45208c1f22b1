"""Turns of stored jobs: whoever has the next turn after an enqueue is hinted at, in whichever queue it is."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connections, transaction

from pleme_redis_django.enqueueing.pools import hint_namespace
from pleme_redis_django.models import FlowLimit, Job
from pleme_redis_django.orm_store.flow.left_places import let_others_in
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints
from tests.enqueueing.jobs import unique_waiting
from tests.faults.jobs import record
from tests.rows import make_job

WAIT_SECONDS = 1.0
LATER = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_a_worker_of_another_queue_is_woken_when_the_next_of_the_line_is_there() -> None:
    """Who had the turn is gone, and the enqueue is the first to look at the line since."""
    waits = {"status": "BLOCKED", "blocked_on": "o:default:order:7", "order_key": "order:7"}
    first = make_job(queue_name="there", **waits)
    record.using(order_key="order:7", queue_name="here").enqueue()
    assert Job.objects.get(id=first.id).status == "QUEUED"
    for queue_name in ("here", "there"):
        assert RedisHints(queue_name, hint_namespace(Job)).wait_for_hint(WAIT_SECONDS), queue_name


@pytest.mark.django_db(transaction=True)
def test_a_job_that_a_transaction_kept_waiting_gets_the_place_that_was_free_meanwhile() -> None:
    FlowLimit.objects.create(
        job_model="pleme_redis_django.job", kind="key", name="stripe", source="admin", max_running=1
    )
    running = make_job(status="RUNNING", concurrency_key="stripe", attempt=1)
    limited = unique_waiting.using(concurrency_key="stripe")
    first = limited.enqueue(1)
    Job.objects.filter(id=first.id).update(status="BLOCKED", blocked_on="k:default:stripe")
    let_in: list[list[str]] = []

    def end() -> None:
        Job.objects.filter(id=running.id).update(status="COMPLETED")
        let_in.append(let_others_in(JobTable(Job, "default"), [running]))
        connections.close_all()

    with transaction.atomic():
        assert limited.enqueue(1).id == first.id
        thread = threading.Thread(target=end, daemon=True)
        thread.start()
        thread.join(20)
    assert let_in == [[]], "nobody lets in a job whose row is held"
    assert Job.objects.get(id=first.id).status == "QUEUED"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("many", [False, True], ids=["one", "many at once"])
@pytest.mark.parametrize(
    ("changed", "leaves"),
    [
        ({"on_conflict": "extend", "run_after": LATER}, True),
        ({"on_conflict": "replace", "run_after": LATER}, True),
        ({"on_conflict": "replace", "concurrency_key": "other"}, True),
        ({"on_conflict": "replace"}, False),
        ({"on_conflict": "extend", "concurrency_key": "other"}, False),
    ],
)
def test_a_job_that_had_been_let_in_leaves_its_place_to_the_next_when_an_enqueue_changes_it(
    changed: dict[str, Any], leaves: bool, many: bool
) -> None:
    FlowLimit.objects.create(
        job_model="pleme_redis_django.job", kind="key", name="stripe", source="admin", max_running=1
    )
    limited = unique_waiting.using(unique_key="index", concurrency_key="stripe")
    let_in = limited.enqueue(1)
    waits = {"status": "BLOCKED", "blocked_on": "k:default:stripe", "concurrency_key": "stripe"}
    behind = make_job(queue_name="there", **waits)
    limited = limited.using(**changed)
    again = limited.enqueue_many([{"key": 2}])[0] if many else limited.enqueue(2)
    assert again.id == let_in.id
    assert Job.objects.get(id=behind.id).status == ("QUEUED" if leaves else "BLOCKED")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "changed",
    [
        {"on_conflict": "extend", "run_after": LATER},
        {"on_conflict": "replace", "run_after": LATER},
        {"on_conflict": "replace", "concurrency_key": "other"},
    ],
    ids=["extended", "put off", "another key"],
)
def test_lighter_jobs_go_on_when_an_enqueue_takes_a_heavy_one_out_of_their_way(
    changed: dict[str, Any],
) -> None:
    FlowLimit.objects.create(
        job_model="pleme_redis_django.job", kind="key", name="stripe", source="admin", max_running=2
    )
    make_job(status="RUNNING", concurrency_key="stripe", attempt=1)
    limited = unique_waiting.using(unique_key="index", concurrency_key="stripe")
    waits = {"status": "BLOCKED", "blocked_on": "k:default:stripe", "concurrency_key": "stripe"}
    heavy = limited.enqueue(1)
    Job.objects.filter(id=heavy.id).update(cost=2, **waits)
    light = make_job(**waits)
    assert limited.using(**changed).enqueue(2).id == heavy.id
    assert Job.objects.get(id=light.id).status == "QUEUED"
