"""What the demo gives the workers to do."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from example_project.shop.deliveries import DeliveredLine
from example_project.shop.jobs import (
    ask_price,
    book_delivery,
    check_mail_server,
    count_by_country,
    crash_the_worker_once,
    draw_thumbnail,
    import_catalog,
    index_item,
    print_label,
    take_orders,
)
from example_project.shop.models import CatalogItem, Order
from pleme_redis_django import Job

# The label printer is off: so there is always something on the dashboard's page of errors.
LABEL_CHANCE = 0.3
SPREAD_PARTS = 24
SPREAD_STEP = timedelta(seconds=5)
CRASH_AFTER = timedelta(seconds=30)
OTHER_PRODUCT = "lilith"
COUNTRIES = ["AR", "AU", "BR", "CA", "CN", "DE", "FR", "IN", "JP", "KE", "MX", "NO", "PT", "US", "ZA"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How much of each; the defaults keep two processes busy for some seconds."""

    orders: int = 300
    thumbnails: int = 60
    indexed_items: int = 2000
    labels: int = 3
    prices: int = 30
    flood: int = 3000
    """Jobs of another product, which asks for everything at once."""


def enqueue_import(amounts: Amounts) -> Job:
    """Enqueue the import, which takes the orders when it is through."""
    # The seed is part of the order numbers: a kept database gets new ones.
    job: Job = import_catalog.enqueue(orders=amounts.orders, seed=Order.objects.count() + 1)
    return job


def enqueue_follow_ups(amounts: Amounts, tag: str, *, spread: bool) -> int:
    """Enqueue what needs the catalog; return how many jobs that is.

    ``spread``: over two minutes, with the crash after half of one, for people who open the dashboard
    meanwhile. A rush of five seconds is over before they have signed in.
    """
    codes = list(CatalogItem.objects.order_by("-elevation_feet", "code").values_list("code", flat=True))
    crash = (
        crash_the_worker_once.using(run_after=timezone.now() + CRASH_AFTER)
        if spread
        else crash_the_worker_once
    )
    jobs = [
        *enqueue_flood(amounts.flood),
        *_index(codes[: amounts.indexed_items], parts=SPREAD_PARTS if spread else 1),
        *draw_thumbnail.enqueue_many({"code": code} for code in codes[: amounts.thumbnails]),
        *print_label.enqueue_many({"order": f"label {number}"} for number in range(amounts.labels)),
        *ask_price.enqueue_many({"code": code} for code in codes[: amounts.prices]),
        check_mail_server.enqueue(),
        _deliver(codes[: amounts.labels]),
        crash.enqueue(name=f"crash {tag}"),
    ]
    return len(jobs)


def enqueue_flood(count: int) -> Sequence[Job]:
    """Enqueue the jobs of another product, and right behind them some of the shop's for the same slots.

    At once: a flood that workers are through with before the shop's jobs are there would hold nobody up.
    """
    countries = (COUNTRIES[number % len(COUNTRIES)] for number in range(count))
    of_shop = ({"country": country} for country in COUNTRIES)
    with transaction.atomic():
        flood = count_by_country.using(product=OTHER_PRODUCT).enqueue_many(
            {"country": each} for each in countries
        )
        return [*flood, *count_by_country.enqueue_many(of_shop)]


def _deliver(codes: list[str]) -> Job:
    """Enqueue the booking of a delivery, by values of its own types."""
    lines = [DeliveredLine(code=code, prints=25, unit_cost=Decimal("1.90")) for code in codes]
    job: Job = book_delivery.enqueue(arrived_on=timezone.localdate(), lines=lines)
    return job


def _index(codes: list[str], *, parts: int) -> Iterator[Job]:
    """Enqueue the indexing of the items, in parts that become due one after the other."""
    start = timezone.now()
    for part in range(parts):
        due = index_item.using(run_after=start + part * SPREAD_STEP) if part else index_item
        yield from due.enqueue_many({"code": code} for code in codes[part::parts])


class Customers:
    """Keep the shop busy after the first rush: some orders and thumbnails every few seconds."""

    def __init__(self) -> None:
        self._next = 0.0
        self._chance = random.Random(1)  # noqa: S311 - made-up customers, no secret

    def come_by(self) -> None:
        """Enqueue the next orders when it is time."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._chance.uniform(1, 4)
        take_orders.enqueue(count=self._chance.randint(1, 5), seed=Order.objects.count() + 1)
        if self._chance.random() < LABEL_CHANCE:
            print_label.enqueue(order=f"label {self._chance.randint(100, 999)}")
        not_drawn = CatalogItem.objects.filter(thumbnail=None).order_by("-elevation_feet")
        for code in not_drawn.values_list("code", flat=True)[: self._chance.randint(0, 6)]:
            draw_thumbnail.enqueue(code)
