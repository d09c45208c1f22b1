"""MemoryJobStore: a fair claim gives each product its share, as the database's stores do."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

from pleme_redis_django.jobs.interface.fair_shares import SHARE
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.testing import MemoryJobStore

FAIR = JobSelection(fair=True)


def products(store: MemoryJobStore, limit: int, selection: JobSelection = FAIR) -> Counter[str]:
    return Counter(job.product for job in store.claim_jobs(str(uuid4()), limit, selection))


def test_products_share_by_their_weights() -> None:
    store = MemoryJobStore(product_weights={"gold": 3})
    for product in ("tin", "gold"):
        for _ in range(100):
            store.add(product=product)
    assert abs(products(store, 80)["gold"] - 60) <= SHARE


def test_what_one_product_leaves_goes_to_the_others() -> None:
    store = MemoryJobStore()
    for _ in range(50):
        store.add(product="big")
    store.add(product="small")
    assert products(store, 10) == {"big": 9, "small": 1}
    assert products(store, 100) == {"big": 41}
    assert products(store, 100) == {}


def test_claims_that_are_not_fair_keep_their_order() -> None:
    store = MemoryJobStore()
    for _ in range(50):
        store.add(product="big")
    store.add(product="small")
    assert products(store, 50, JobSelection()) == {"big": 50}


def test_priorities_order_within_a_product() -> None:
    store = MemoryJobStore()
    for priority in (1, 3, 2):
        store.add(product="a", priority=priority)
        store.add(product="b", priority=priority * 10)
    jobs = store.claim_jobs(str(uuid4()), 6, FAIR)
    assert [job.priority for job in jobs if job.product == "a"] == [3, 2, 1]
