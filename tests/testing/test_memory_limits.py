"""Limits and lines of a MemoryJobStore, by the rules of a database's."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.jobs.interface.endings import Completed, GivenBack
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.testing import ManualClock, MemoryJobStore

EVERYTHING = JobSelection()


def claim(store: MemoryJobStore, limit: int = 10) -> list[Any]:
    return list(store.claim_jobs("worker", limit, EVERYTHING))


def end(store: MemoryJobStore, *jobs: Any) -> list[str]:
    assert all(store.finish_jobs([Completed(job_id=job.id, claim=job.claim) for job in jobs]))
    return list(store.release_after(jobs))


@pytest.mark.parametrize(
    ("kind", "name", "within"),
    [
        ("key", "customer", {"concurrency_key": "customer:1"}),
        ("type", "shop.pay", {"job_type": "shop.pay"}),
        ("queue", "mail", {"queue_name": "mail"}),
        ("product", "ours", {"product": "ours"}),
    ],
)
def test_no_more_run_than_the_limit_and_an_ending_lets_one_in(kind: str, name: str, within: Any) -> None:
    store = MemoryJobStore()
    store.limit(kind, name, 2)
    for _ in range(4):
        store.add(**{"job_type": "test", **within})
    free = store.add()
    claimed = claim(store)
    assert len(claimed) == 3 and free.id in {job.id for job in claimed}
    assert [job.status for job in store.all()].count(JobStatus.BLOCKED) == 2
    assert len(end(store, next(job for job in claimed if job.id != free.id))) == 1
    assert len(claim(store)) == 1


def test_a_limit_is_of_each_product_and_a_heavy_job_takes_several_places() -> None:
    store = MemoryJobStore()
    store.limit("key", "stripe", 3)
    for product in ("ours", "theirs"):
        store.add(product=product, concurrency_key="stripe", cost=2)
        store.add(product=product, concurrency_key="stripe", cost=2)
    claimed = claim(store)
    assert [job.product for job in claimed] == ["ours", "theirs"]


def test_jobs_of_an_order_run_one_after_the_other_retries_included() -> None:
    clock = ManualClock()
    store = MemoryJobStore(clock=clock)
    jobs = []
    for _ in range(3):
        jobs.append(store.add(order_key="order:7"))
        clock.advance(1)
    order = []
    (running,) = claim(store)
    store.finish_jobs([GivenBack(job_id=running.id, claim=running.claim, delay_seconds=5)])
    assert list(store.release_after([running])) == [] and claim(store) == [], "it holds its line"
    clock.advance(6)
    store.promote_due_jobs(10)
    while claimed := claim(store):
        (running,) = claimed
        order.append(running.id)
        end(store, running)
    assert order == [job.id for job in jobs]


def test_a_limit_that_is_raised_or_removed_lets_in_at_once() -> None:
    store = MemoryJobStore()
    store.limit("key", "stripe", 0)
    for _ in range(3):
        store.add(concurrency_key="stripe")
    assert claim(store) == []
    store.limit("key", "stripe", 1)
    assert len(claim(store)) == 1
    store.limit("key", "stripe", None)
    assert len(claim(store)) == 2


def test_one_that_is_cancelled_or_expires_while_it_waits_says_no_gate_any_more() -> None:
    clock = ManualClock()
    store = MemoryJobStore(clock=clock)
    store.limit("key", "stripe", 0)
    cancelled = store.add(concurrency_key="stripe")
    expired = store.add(concurrency_key="stripe", expires_at=clock() + 5)
    assert claim(store) == []
    assert store.load_job(expired.id).blocked_on == "k:default:stripe"
    store.request_cancel(cancelled.id)
    clock.advance(6)
    assert store.end_expired_jobs(10) == 1
    assert [(job.status, job.blocked_on) for job in store.all()] == [(JobStatus.CANCELLED, None)] * 2
