"""Orders: an order and its e-mail job exist together or not at all."""

from __future__ import annotations

import pytest
from django.db import transaction

from example_project.shop.models import CatalogItem, EmailJob, Order
from example_project.shop.orders import place_order, place_random_orders
from pleme_redis_django import JobStatus

pytestmark = pytest.mark.django_db


def test_order_brings_its_confirmation_with_it(catalog: list[CatalogItem]) -> None:
    codes = [catalog[0].code, catalog[0].code, catalog[1].code]
    order = place_order("N1", codes, "Ada Wright", "ada@customers.example")
    assert sorted(order.lines.values_list("item__code", "quantity")) == [(codes[0], 2), (codes[2], 1)]
    job = EmailJob.objects.get()
    assert (job.status, job.parameters, job.product) == (JobStatus.QUEUED, {"order": "N1"}, "default")


def test_rolled_back_order_sends_nothing(catalog: list[CatalogItem]) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        place_order("N1", [catalog[0].code], "Ada Wright", "ada@customers.example")
        raise RuntimeError
    assert not Order.objects.exists() and not EmailJob.objects.exists()


def test_order_that_is_placed_again_is_left_as_it_is(catalog: list[CatalogItem]) -> None:
    for _attempt in range(2):
        place_random_orders(5, seed=7)
    assert Order.objects.count() == EmailJob.objects.count() == 5


def test_one_seed_makes_the_same_orders_everywhere(catalog: list[CatalogItem]) -> None:
    first = [(order.number, order.email) for order in place_random_orders(5, seed=3)]
    Order.objects.all().delete()
    assert [(order.number, order.email) for order in place_random_orders(5, seed=3)] == first
