"""ProductHints: the products of hints, of those that are taken, and of those that a full worker leaves to others."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from pleme_redis_django.jobs.interface.hints import NamesProducts
from pleme_redis_django.jobs.interface.job import QueuedJob
from pleme_redis_django.redis_state.wakeups import product_hints
from pleme_redis_django.redis_state.wakeups.product_hints import ProductHints
from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints
from pleme_redis_django.redis_state.wakeups.waiting_products import NEWEST_HINTS

QUEUES = ("mail", "print")


@pytest.fixture
def hints() -> ProductHints:
    return ProductHints(QUEUES, f"fair-{uuid4().hex[:8]}")


def push(hints: ProductHints, queue_name: str, *products: str) -> None:
    now = datetime.now(UTC)
    jobs = [
        QueuedJob(
            job_id=uuid4(), product=product, job_type="t", retry_count=0, max_retries=3, enqueued_at=now
        )
        for product in products
    ]
    assert hints.push(queue_name, jobs)


def test_it_names_products(hints: ProductHints) -> None:
    assert isinstance(hints, NamesProducts)
    assert not isinstance(RedisHints(QUEUES), NamesProducts), "only fair pools read products"


def test_products_of_taken_hints_are_told_once(hints: ProductHints) -> None:
    push(hints, "mail", "a", "b", "a")
    push(hints, "print", "c")
    assert hints.wait_for_hint(1)
    assert hints.take_products() == {"a", "b", "c"}
    assert hints.take_products() == frozenset()


def test_a_hint_that_ends_a_wait_names_its_product(hints: ProductHints) -> None:
    push(hints, "mail", "a")
    hints._known_keys = hints._keys()
    assert hints._pop(1)
    assert hints.take_products() == {"a"}


def test_waiting_hints_are_read_once_and_left(hints: ProductHints) -> None:
    assert hints.peek_products() == frozenset()
    push(hints, "mail", "a", "b")
    assert hints.peek_products() == {"a", "b"}
    assert hints.peek_products() == frozenset()
    push(hints, "mail", "b")
    push(hints, "print", "c")
    assert hints.peek_products() == {"b", "c"}
    assert hints.wait_for_hint(1)
    assert hints.take_products() == {"a", "b", "c"}
    push(hints, "mail", "d")
    assert hints.peek_products() == {"d"}


def test_of_a_flood_the_newest_are_read(hints: ProductHints) -> None:
    push(hints, "mail", "old")
    push(hints, "mail", *["flood"] * NEWEST_HINTS)
    assert hints.peek_products() == {"flood"}
    push(hints, "mail", "new")
    assert hints.peek_products() == {"new"}


def test_a_pool_of_every_queue_sees_queues_that_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product_hints, "PEEK_NAMES_SECONDS", 0.0)
    hints = ProductHints("*", f"fair-{uuid4().hex[:8]}")
    push(hints, "mail", "a")
    assert hints.peek_products() == {"a"}
    push(hints, "print", "b")
    assert hints.peek_products() == {"b"}
