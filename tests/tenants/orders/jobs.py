"""Jobs that read and write the tables of their tenant."""

from __future__ import annotations

from django.db import connection

from pleme_redis_django import job
from tests.tenants.orders.models import Order


@job
def add_order(text: str) -> str:
    """Write to the tenant's table, and enqueue another job there."""
    Order.objects.create(text=text)
    count_orders.enqueue()
    return str(connection.schema_name)


@job(max_retries=0)
def fail_in_schema() -> None:
    raise ValueError(connection.schema_name)


@job
def count_orders() -> int:
    return Order.objects.count()


@job
async def acount_orders() -> list[str]:
    return [order.text async for order in Order.objects.order_by("text")]


@job
def current_schema() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW search_path")
        return str(cursor.fetchone()[0])


@job(unique="while_waiting")
def once(name: str) -> str:
    return str(connection.schema_name)
