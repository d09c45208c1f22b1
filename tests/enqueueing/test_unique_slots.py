"""Unique jobs with Redis in front: fewer queries for whoever comes second, and the same answers without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.db import connection, connections, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.conf import get_settings
from pleme_redis_django.models import Job
from pleme_redis_django.redis_state.server.connections import close_sync_clients
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker
from pleme_redis_django.redis_state.wakeups.unique_slots import note_slot
from pleme_redis_django.testing import drain_jobs
from tests.enqueueing import jobs

UNIQUE = [jobs.unique_waiting, jobs.unique_running, jobs.unique_hourly]


@pytest.fixture(params=["redis", "redis is away", "no redis"])
def redis_or_not(request: pytest.FixtureRequest, settings: Any) -> Iterator[str]:
    if request.param == "redis is away":
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": "redis://127.0.0.1:1/0"}
    elif request.param == "no redis":
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": None}
    hint_breaker.reset()
    yield request.param
    hint_breaker.reset()
    close_sync_clients()


@pytest.mark.django_db
@pytest.mark.parametrize("job", UNIQUE)
def test_the_second_is_told_which_job_holds_the_place(job: Any, redis_or_not: str) -> None:
    first = job.enqueue(key=1)
    again = job.enqueue(key=1)
    assert again == first and again.status == "QUEUED" and again.parameters == {"key": 1}
    assert job.enqueue(key=2) != first
    assert job.using(product="other").enqueue(key=1) != first
    assert Job.objects.count() == 3


@pytest.mark.django_db(
    transaction=True
)  # In a transaction, a lock that may have to be undone has a savepoint.
@pytest.mark.parametrize("job", UNIQUE)
def test_the_second_costs_one_query(job: Any) -> None:
    job.enqueue(key=1)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        job.enqueue(key=1)
    assert len(queries) == 1
    with CaptureQueriesContext(connection) as queries:
        job.enqueue_many([{"key": 1}, {"key": 2}])  # several at once do not ask Redis
    assert len(queries) > 1


@pytest.mark.django_db
def test_a_place_that_is_free_again_is_taken_anew(redis_or_not: str) -> None:
    first = jobs.unique_running.enqueue(key=1)
    drain_jobs()
    second = jobs.unique_running.enqueue(key=1)
    assert second != first
    assert jobs.unique_running.enqueue(key=1) == second
    hourly = jobs.unique_hourly.enqueue(key=1)
    Job.objects.filter(pk=hourly.pk).update(created_at=Now() - timedelta(hours=2))
    assert jobs.unique_hourly.enqueue(key=1) != hourly


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_winner_keeps_nobody_out(redis_or_not: str) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        lost = jobs.unique_running.enqueue(key=1)
        _ = 1 / 0
    kept = jobs.unique_running.enqueue(key=1)
    assert kept.id != lost.id
    assert jobs.unique_running.enqueue(key=1) == kept


@pytest.mark.django_db
@pytest.mark.parametrize(
    "remembered", [lambda: str(uuid4()), lambda: "no id", lambda: str(jobs.anything.enqueue().id)]
)
def test_a_wrong_memory_costs_queries_and_no_duplicate(remembered: Callable[[], str]) -> None:
    first = jobs.unique_running.enqueue(key=1)
    with redis.Redis.from_url(str(get_settings().url)) as client:
        [place] = client.keys("pl:*:place")
        client.set(place, remembered())
    assert jobs.unique_running.enqueue(key=1) == first
    with CaptureQueriesContext(connection) as queries:
        assert jobs.unique_running.enqueue(key=1) == first  # and is remembered rightly again
    assert len(queries) == 1


@pytest.mark.django_db
def test_a_memory_of_another_products_job_is_not_believed() -> None:
    other = jobs.unique_running.using(product="other").enqueue(key=1)
    assert other.unique_slot is not None
    note_slot("default", other.unique_slot, other.id)
    assert jobs.unique_running.enqueue(key=1).product == "default"


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_one_job(redis_or_not: str) -> None:
    def enqueue(_number: int) -> Any:
        try:
            return jobs.unique_running.enqueue(key=1).id
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(enqueue, range(40)))) == 1
    assert Job.objects.count() == 1
