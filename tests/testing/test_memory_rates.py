"""Rates of a MemoryJobStore: what the contract of job stores does not ask."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pleme_redis_django.exceptions import InvalidJobDefinition
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.interface.token_bucket import LET_SECONDS
from pleme_redis_django.testing import ManualClock, MemoryJobStore

EVERYTHING = JobSelection()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryJobStore:
    return MemoryJobStore(clock=clock)


def claim(store: MemoryJobStore, limit: int = 100) -> list[Any]:
    store.promote_due_jobs(1_000)
    return list(store.claim_jobs("worker", limit, EVERYTHING))


@pytest.mark.parametrize("seed", range(5))
def test_no_window_has_more_than_burst_and_rate_and_none_is_lost(
    store: MemoryJobStore, clock: ManualClock, seed: int
) -> None:
    chosen = random.Random(seed)
    rate, burst = chosen.choice([3, 7, 50]), chosen.choice([2, 5, 20])
    store.rate("key", "stripe", rate, burst=burst)
    for _ in range(rate * 20 + burst + 10):
        store.add(concurrency_key="stripe")
    started: list[float] = []
    begun = clock()
    while clock() - begun < 20:
        started += [clock()] * len(claim(store, chosen.randint(1, 10)))
        wait = store.look_ahead(EVERYTHING).due_in_seconds
        clock.advance((wait or 0.0) + chosen.choice([0.0, 0.0, 0.01, 0.3]))
    for length in (0.1, 1.0, 5.0):
        most = max(sum(0 <= later - first <= length for later in started) for first in started)
        assert most <= burst + rate * length + 1e-6
    assert len(started) >= 0.97 * rate * 20


def test_whoever_asks_when_a_token_is_back_finds_it_then(store: MemoryJobStore, clock: ManualClock) -> None:
    store.rate("type", "mail", 3, per_seconds=0.7, burst=1)
    for _ in range(200):
        store.add("mail")
    assert len(claim(store)) == 1
    for _ in range(199):
        wait = store.look_ahead(EVERYTHING).due_in_seconds
        assert wait is not None
        clock.advance(wait)
        assert len(claim(store)) == 1


def test_every_product_has_its_own_tokens(store: MemoryJobStore) -> None:
    store.rate("queue", "mail", 1, burst=2)
    for _ in range(3):
        store.add(queue_name="mail", product="ours")
        store.add(queue_name="mail", product="theirs")
    assert sorted(job.product for job in claim(store)) == ["ours", "ours", "theirs", "theirs"]


def test_another_rate_counts_at_the_next_token(store: MemoryJobStore, clock: ManualClock) -> None:
    store.rate("key", "stripe", 1, per_seconds=100, burst=2)
    for _ in range(10):
        store.add(concurrency_key="stripe")
    assert len(claim(store)) == 2
    store.rate("key", "stripe", 1, per_seconds=10, burst=2)
    assert claim(store) == []
    clock.advance(100)
    assert len(claim(store)) == 1
    clock.advance(10)
    assert len(claim(store)) == 1


def test_a_rate_that_has_ended_lets_all_go_on(store: MemoryJobStore) -> None:
    store.rate("key", "stripe", 0)
    for _ in range(5):
        store.add(concurrency_key="stripe")
    assert claim(store) == [] and store.look_ahead(EVERYTHING).due_in_seconds is None
    store.rate("key", "stripe", None)
    assert len(claim(store)) == 5


def test_who_was_let_through_and_does_not_come_holds_no_token_for_ever(
    store: MemoryJobStore, clock: ManualClock
) -> None:
    store.rate("key", "stripe", 1, per_seconds=1, burst=1)
    for queue_name in ("held", "held", "other"):
        store.add(concurrency_key="stripe", queue_name=queue_name)
    assert len(claim(store)) == 1
    clock.advance(1)
    assert store.promote_due_jobs(10) == 1
    store.pause("held")
    let_at, claimed = clock(), []
    while not claimed:
        assert clock() <= let_at + LET_SECONDS
        wait = store.look_ahead(EVERYTHING).due_in_seconds
        assert wait is not None
        clock.advance(wait)
        claimed = claim(store)
    assert [job.queue_name for job in claimed] == ["other"]


def test_the_head_of_a_line_keeps_its_turn_while_it_waits_for_a_token(
    store: MemoryJobStore, clock: ManualClock
) -> None:
    store.rate("key", "stripe", 1, burst=1)
    store.add(concurrency_key="stripe")
    head = store.add(concurrency_key="stripe", order_key="line")
    assert len(claim(store)) == 1
    assert store.load_job(head.id).blocked_on == "r:k:default:stripe"
    store.add(order_key="line", priority=5)
    assert claim(store) == []
    clock.advance(1)
    assert [job.id for job in claim(store)] == [head.id]


def test_a_rate_that_is_none_is_refused(store: MemoryJobStore) -> None:
    with pytest.raises(InvalidJobDefinition, match="per_seconds"):
        store.rate("key", "stripe", 1, per_seconds=0)
    assert [job.status for job in store.all()].count(JobStatus.BLOCKED) == 0
