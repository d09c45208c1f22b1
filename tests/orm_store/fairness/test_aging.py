"""Aging: in a fair pool, a job of low priority is overtaken only for so long."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pleme_redis_django.configured_pools import configured_pool
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.fairness.index import FairIndex, fair_index
from pleme_redis_django.testing import ManualClock, MemoryJobStore
from tests.rows import BACKENDS, make_job, make_jobs

AGED = JobSelection(fair=True, aging_seconds_per_point=60.0)
MAIL = JobSelection(fair=True, aging_seconds_per_point=60.0, queue_names=("mail",))
# Priority and how long ago it was due: with a minute for each point they come as they stand here.
IN_TURN = [(0, 700), (10, 50), (5, 300), (-5, 850), (1, 0)]
BACKLOG = 2_000


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest) -> Iterator[OrmJobStore[Job]]:
    for selection in (AGED, MAIL):
        fair_index(Job, request.param, selection).make()
    yield OrmJobStore(Job, using=request.param)


def make_in_turn(using: str, product: str = "a") -> list[Any]:
    now = timezone.now()
    made = [
        make_job(
            using,
            product=product,
            queue_name="mail",
            priority=priority,
            run_after=now - timedelta(seconds=seconds),
        ).id
        for priority, seconds in reversed(IN_TURN)
    ]
    return made[::-1]


@pytest.mark.django_db(databases=BACKENDS)
@pytest.mark.parametrize("selection", [AGED, MAIL], ids=["every queue", "one queue"])
@pytest.mark.parametrize("products", ["a", "ab"], ids=["one product", "two products"])
def test_a_job_is_overtaken_only_for_a_while(
    store: OrmJobStore[Job], selection: JobSelection, products: str
) -> None:
    expected = {product: make_in_turn(store.using, product) for product in products}
    store.claim_jobs(str(uuid4()), 0, selection)
    store.hear_of(selection, products)
    found = [job for _ in range(9) for job in store.claim_jobs(str(uuid4()), 2, selection)]
    for product in products:
        assert [job.id for job in found if job.product == product] == expected[product]


@pytest.mark.django_db
def test_claims_read_the_index_of_their_aging() -> None:
    store = OrmJobStore(Job)
    index = fair_index(Job, "default", AGED)
    assert index.name == "pleme_redis_django_job_fair_60"
    index.make()
    make_jobs(BACKLOG, product="big")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pleme_redis_django_job")
        for way in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
    store.claim_jobs(str(uuid4()), 1, AGED)
    store.hear_of(AGED, ["big"])
    with CaptureQueriesContext(connection) as queries:
        store.claim_jobs(str(uuid4()), 4, AGED)
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + queries[-1]["sql"])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert f"Index Scan using {index.name} on" in plan
    assert "Sort" not in plan


def test_each_aging_has_an_index_of_its_own() -> None:
    names = {
        FairIndex(model=Job, using="default", by_queue=by_queue, aging_seconds_per_point=aging).name
        for by_queue in (True, False)
        for aging in (None, 1.0, 0.5, 86_400.0)
    }
    assert len(names) == 8
    assert all(len(name) <= 30 for name in names)


def test_the_memory_store_ages_too() -> None:
    clock = ManualClock()
    store = MemoryJobStore(clock=clock)
    ids = {}
    by_age = sorted(IN_TURN, key=lambda one: -one[1])
    for (priority, seconds), (_priority, until) in itertools.pairwise([*by_age, (0, 0)]):
        ids[priority] = store.add(product="a", priority=priority).id
        clock.advance(seconds - until)
    jobs = store.claim_jobs(str(uuid4()), 9, AGED)
    assert [job.id for job in jobs] == [ids[priority] for priority, _seconds in IN_TURN]


@pytest.mark.parametrize("other", [{}, {"fair": True, "product": "shop"}], ids=["not fair", "one product"])
def test_only_a_fair_pool_ages(settings: Any, other: dict[str, Any]) -> None:
    aged = {"aging_seconds_per_point": 60}
    pools = {"fair": {"fair": True, **aged}, "other": {**aged, **other}}
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "POOLS": pools}
    assert configured_pool("fair").config.aging == 60
    with pytest.raises(InvalidSettings, match="aging_seconds_per_point is 60, and the pool is not fair"):
        configured_pool("other")
