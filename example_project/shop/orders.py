"""Taking orders: the order, its lines, its prints and its confirmation e-mail, in one transaction."""

from __future__ import annotations

import random

from django.db import transaction

from example_project.shop.models import CatalogItem, EmailJob, Order, OrderLine
from example_project.shop.stock import reserve
from pleme_redis_django import PubSubManager, enqueue

FIRST_NAMES = ["Ada", "Alan", "Amelia", "Bessie", "Elly", "Emil", "Hedy", "Igor", "Jean", "Valentina"]
LAST_NAMES = ["Beinhorn", "Coleman", "Curtiss", "Dumont", "Earhart", "Lilienthal", "Sikorsky", "Wright"]


def place_order(number: str, codes: list[str], customer_name: str, email: str) -> Order:
    """Store an order and its confirmation e-mail: both exist afterwards, or neither.

    An order that is there already is left as it is, so that a job which was killed on the way may
    begin again. Raises OutOfStock, and LockBusy when another customer holds one of the items.
    """
    customer = {"customer_name": customer_name, "email": email}
    with reserve(codes) as reservation, transaction.atomic():
        order, is_new = Order.objects.get_or_create(number=number, defaults=customer)
        if is_new:
            reservation.take()
            _add_lines(order, codes)
            confirmation = EmailJob.Type.SEND_ORDER_CONFIRMATION
            enqueue(EmailJob(job_type=confirmation, parameters={"order": number}))
            PubSubManager().publish("order:created", {"number": number, "customer": customer_name})
    return order


def _add_lines(order: Order, codes: list[str]) -> None:
    OrderLine.objects.bulk_create(
        OrderLine(order=order, item=item, quantity=codes.count(item.code), unit_price_cents=item.price_cents)
        for item in CatalogItem.objects.filter(code__in=codes)
    )


def place_random_orders(count: int, seed: int) -> list[Order]:
    """Place ``count`` orders by made-up customers; the same seed makes the same orders."""
    chance = random.Random(seed)  # noqa: S311 - made-up customers, no secret
    codes = list(CatalogItem.objects.order_by("code").values_list("code", flat=True))
    orders = []
    for index in range(count):
        first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
        orders.append(
            place_order(
                number=f"N{seed:03d}-{index:05d}",
                codes=chance.choices(codes, k=chance.randint(1, 4)),
                customer_name=f"{first} {last}",
                email=f"{first}.{last}.{index}@customers.example".lower(),
            )
        )
    return orders
