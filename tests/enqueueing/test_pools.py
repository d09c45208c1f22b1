"""What an enqueue takes from the pools: the one that serves the model says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django import enqueue
from pleme_redis_django.enqueueing.pools import (
    default_queue_key,
    hint_namespace,
    hints_enabled,
    pool_deadline,
    pool_max_retries,
)
from pleme_redis_django.exceptions import EnqueueError
from pleme_redis_django.jobs.interface.worker_pool_config import PRESETS
from pleme_redis_django.models import Job, QueuePause
from tests.enqueueing import jobs

POOLS: dict[str, Any] = {
    "mail": {
        "model": "Pleme_Redis_Django.QueuePause",
        "queue_key": "mail",
        "max_retries": 1,
        "deadline": 60.0,
    },
    "default": {"worker_count": 5},
}


@pytest.fixture
def configure(settings: Any) -> Callable[..., None]:
    """``configure(**keys)``: have PLEME_REDIS say these."""

    def set_keys(**keys: Any) -> None:
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, **keys}

    return set_keys


def test_each_model_has_what_its_own_pool_says(configure: Callable[..., None]) -> None:
    configure(POOLS=POOLS)
    assert (hint_namespace(QueuePause), pool_max_retries(QueuePause), pool_deadline(QueuePause)) == (
        "mail",
        1,
        60.0,
    )
    assert (hint_namespace(Job), pool_max_retries(Job), pool_deadline(Job)) == ("jobs", 3, None)


def test_hints_of_two_models_are_never_mixed() -> None:
    assert default_queue_key("pleme_redis_django.job") == "jobs"
    assert default_queue_key("shop.emailjob") == "jobs.shop.emailjob"


def test_a_preset_says_the_retries_unless_the_pool_does(configure: Callable[..., None]) -> None:
    name, preset = next((name, one) for name, one in PRESETS.items() if "max_retries" in one)
    configure(POOLS={"default": {"preset": name}})
    assert pool_max_retries(Job) == preset["max_retries"]
    configure(POOLS={"default": {"preset": name, "max_retries": 9}})
    assert pool_max_retries(Job) == 9


def test_a_namespace_that_was_kept_goes_with_the_settings_that_it_is_of(
    configure: Callable[..., None],
) -> None:
    for name in ("first", "second"):
        configure(POOLS={"default": {"queue_key": name}})
        assert hint_namespace(Job) == hint_namespace(Job) == name


def test_without_a_redis_there_is_nobody_to_hint_to(configure: Callable[..., None]) -> None:
    assert hints_enabled()
    configure(URL=None)
    assert not hints_enabled()


WITHOUT_ORDERS = "tests.enqueueing.stores.WithoutLimits"


@pytest.mark.django_db
@pytest.mark.parametrize("queues", [{}, {"queues": ["mail"]}, {"queues": ["*"]}], ids=str)
def test_an_order_that_the_store_of_the_pool_does_not_keep_is_refused(
    configure: Callable[..., None], queues: dict[str, Any]
) -> None:
    configure(POOLS={"default": {"queues": ["default"]}, "mail": {"store": WITHOUT_ORDERS, **queues}})
    in_order = [
        jobs.send.using(order_key="a", queue_name="mail").enqueue,
        lambda to: jobs.ship.using(queue_name="mail").enqueue(7),
        lambda to: jobs.send.using(order_key="a", queue_name="mail").enqueue_many([{"to": to}]),
        lambda to: enqueue(
            Job(job_type=jobs.send.name, order_key="a", queue_name="mail", parameters={"to": to})
        ),
    ]
    for one in in_order:
        with pytest.raises(
            EnqueueError, match=f'the pool "mail" serves the queue "mail" with {WITHOUT_ORDERS}'
        ):
            one(to="b")
    assert not Job.objects.exists()
    jobs.send.using(concurrency_key="a", queue_name="mail").enqueue(to="b")
    assert Job.objects.count() == 1


@pytest.mark.django_db
def test_an_order_is_accepted_where_the_stores_of_its_queue_keep_it(configure: Callable[..., None]) -> None:
    configure(
        POOLS={
            "default": {},
            "kept": {"store": "pleme_redis_django.testing.MemoryJobStore"},
            "other queue": {"store": WITHOUT_ORDERS, "queues": ["images"]},
            "other model": {"store": WITHOUT_ORDERS, "model": "shop.EmailJob"},
            "not there": {"store": "no.such.Store"},
        }
    )
    jobs.send.using(order_key="a").enqueue(to="b")
    jobs.ship.enqueue(7)
    assert Job.objects.count() == 2
