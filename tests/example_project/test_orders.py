"""Orders: an order and its e-mail job exist together or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections, transaction

from example_project.shop.catalog import read_catalog, save_items
from example_project.shop.models import CatalogItem, EmailJob, Order
from example_project.shop.orders import place_order, place_random_orders
from example_project.shop.stock import OutOfStock, reserve
from pleme_redis_django import JobStatus, LockLost, LockManager

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


def test_an_order_takes_its_prints_off_the_shelf(catalog: list[CatalogItem]) -> None:
    item, code = catalog[0], catalog[0].code
    CatalogItem.objects.filter(pk=item.pk).update(stock=3)
    place_order("N1", [code, code], "Ada Wright", "ada@customers.example")
    place_order("N1", [code, code], "Ada Wright", "ada@customers.example")  # the same order again
    item.refresh_from_db()
    assert (item.stock, item.last_fence > 0) == (1, True)
    with pytest.raises(OutOfStock, match=f"Fewer than 2 prints of {code}"):
        place_order("N2", [code, code], "Ada Wright", "ada@customers.example")
    item.refresh_from_db()
    assert item.stock == 1 and Order.objects.count() == EmailJob.objects.count() == 1


def test_a_customer_whose_lock_was_lost_takes_nothing(catalog: list[CatalogItem]) -> None:
    item = catalog[0]
    with pytest.raises(LockLost, match="before its block ended"), reserve([item.code]) as slow:
        LockManager().force_release(f"stock:{item.code}", by="test", reason="its host hangs")
        place_order("N1", [item.code], "Ada Wright", "ada@customers.example")
        with pytest.raises(LockLost, match="later holder"):
            slow.take()
    item.refresh_from_db()
    assert item.stock == 99


@pytest.mark.django_db(transaction=True)
def test_customers_at_once_never_sell_more_than_there_is(transactional_db: None) -> None:
    save_items(read_catalog(first=2))
    first, second = CatalogItem.objects.values_list("code", flat=True)
    CatalogItem.objects.update(stock=6)

    def order(number: int) -> bool:
        codes = [first, second] if number % 2 else [second, first]
        try:
            place_order(f"N{number}", codes, "Ada Wright", "ada@customers.example")
            return True
        except OutOfStock:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(order, range(12))) == 6
    assert set(CatalogItem.objects.values_list("stock", flat=True)) == {0}
    assert Order.objects.count() == 6
