"""What the demo gives the workers to do."""

from __future__ import annotations

import dataclasses

from example_project.shop.jobs import (
    check_mail_server,
    count_by_country,
    crash_the_worker_once,
    draw_thumbnail,
    import_catalog,
    index_item,
    print_label,
)
from example_project.shop.models import CatalogItem, Order
from pleme_redis_django import Job

COUNTRIES = ["AR", "AU", "BR", "CA", "CN", "DE", "FR", "IN", "JP", "KE", "MX", "NO", "PT", "US", "ZA"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How much of each; the defaults keep two processes busy for some seconds."""

    orders: int = 300
    thumbnails: int = 120
    indexed_items: int = 2000
    labels: int = 3


def enqueue_import(amounts: Amounts) -> Job:
    """Enqueue the import, which takes the orders when it is through."""
    # The seed is part of the order numbers: a kept database gets new ones.
    job: Job = import_catalog.enqueue(orders=amounts.orders, seed=Order.objects.count() + 1)
    return job


def enqueue_follow_ups(amounts: Amounts, tag: str) -> int:
    """Enqueue what needs the catalog; return how many jobs that is."""
    codes = list(CatalogItem.objects.order_by("-elevation_feet", "code").values_list("code", flat=True))
    jobs = [
        *index_item.enqueue_many({"code": code} for code in codes[: amounts.indexed_items]),
        *draw_thumbnail.enqueue_many({"code": code} for code in codes[: amounts.thumbnails]),
        *count_by_country.enqueue_many({"country": country} for country in COUNTRIES),
        *print_label.enqueue_many({"order": f"label {number}"} for number in range(amounts.labels)),
        check_mail_server.enqueue(),
        crash_the_worker_once.enqueue(name=f"crash {tag}"),
    ]
    return len(jobs)
