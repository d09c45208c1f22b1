"""Fair pools of live workers: a flood of one product beside another one, with Redis and without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from pleme_redis_django import Job
from pleme_redis_django.orm_store.fairness.index import FairIndex
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses
from tests.workload.jobs import noop
from tests.workload.waiting_jobs import wait_briefly

pytestmark = pytest.mark.process

# Two seconds of one process: without a hint, another product is looked for once a second.
FLOOD = 4_000
EACH = 8_000
SEEN, UNTIL = 2_000, 6_000


@pytest.fixture(autouse=True)
def fair_index(transactional_db: None) -> Iterator[None]:
    index = FairIndex(model=Job, using="default", by_queue=False)
    index.make()
    yield
    with connection.cursor() as cursor:
        cursor.execute(f'DROP INDEX "{index.name}"')


def insert(count: int, product: str, job_type: str = noop.name) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pleme_redis_django_job"
            " (id, product, job_type, queue_name, priority, status, parameters, max_retries)"
            " SELECT uuidv7(), %s, %s, 'default', 0, 'QUEUED', '{}', 0 FROM generate_series(1, %s)",
            [product, job_type, count],
        )


def wait_until_all_ended(workers: WorkerProcesses, **which: Any) -> None:
    waiting = Job.objects.filter(**which).exclude(status="COMPLETED")
    wait_for(lambda: not waiting.exists(), "all have ended", details=workers.output)


@pytest.mark.parametrize("settings", [{}, {"url": None}], ids=["with Redis", "without Redis"])
def test_a_small_product_starts_beside_the_flood_of_a_big_one(
    start_workers: StartWorkers, settings: dict[str, None]
) -> None:
    insert(FLOOD, "big", wait_briefly.name)
    workers = start_workers(pool={"fair": True}, **settings)
    started = Job.objects.filter(status="COMPLETED")
    wait_for(started.exists, "the flood is under way", details=workers.output)
    for _ in range(3):
        noop.using(product="small").enqueue()
    wait_until_all_ended(workers, product="small")
    last = Job.objects.filter(product="small").latest("claimed_at").claimed_at
    wait_until_all_ended(workers)
    assert Job.objects.filter(product="big", claimed_at__gt=last).exists(), "it waited for the whole flood"


def test_two_processes_share_between_two_floods_by_their_weights(start_workers: StartWorkers) -> None:
    insert(EACH, "tin")
    insert(EACH, "gold")
    workers = start_workers("--processes", "2", pool={"fair": True}, product_weights={"gold": 3})
    wait_until_all_ended(workers)
    in_order = list(Job.objects.order_by("claimed_at").values_list("product", flat=True))
    # The first claims find no backlog that they know, and the last ones the rest of the other product.
    share = Counter(in_order[SEEN:UNTIL])["gold"] / (UNTIL - SEEN)
    assert share == pytest.approx(0.75, abs=0.06)


def test_a_burst_runs_the_jobs_of_every_product_and_ends(start_workers: StartWorkers) -> None:
    for number in range(40):
        insert(20, f"p{number}")
    workers = start_workers("--burst", "--processes", "2", pool={"fair": True})
    assert workers.exit_code() == 0, workers.output()
    assert Job.objects.filter(status="COMPLETED").count() == 40 * 20
