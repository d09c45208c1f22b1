"""Jobs for the tests of enqueueing."""

from __future__ import annotations

from typing import Any

from pleme_redis_django import Limit, Rate, job, once_per


@job(queue_name="email", max_retries=5, priority=2)
def send(to: str, subject: str = "Hello", *, user_name: str = "") -> None: ...


@job
def anything(**fields: Any) -> None: ...


@job(base_retry_delay=7)
async def asend(to: str) -> None: ...


@job(unique="while_waiting")
def unique_waiting(key: int) -> None: ...


@job(unique="while_running")
def unique_running(key: int) -> None: ...


@job(unique=once_per(3_600))
def unique_hourly(key: int) -> None: ...


@job(timeout=5, kill_after=2, interrupt=False, retry_on_timeout=False, deadline=60)
def bounded(key: int) -> None: ...


@job
def enqueue_from_inside(product: str | None = None) -> None:
    send.using(product=product).enqueue(to="a")


@job
async def aenqueue_from_inside() -> None:
    await send.aenqueue(to="a")


@job(unique="while_waiting", on_conflict="replace")
def debounced(page: int) -> None: ...


@job(limits=[Limit(5, key="payments", cost=2), Rate(100, key="payments", cost=2)])
def charge(amount: int) -> None: ...


@job(limits=Limit(2, key=lambda customer: customer, name="customer"))
def mail_customer(customer: Any = 7, text: str = "") -> None: ...


@job(limits=[Limit(1, key=lambda order_id: f"order:{order_id}", in_order=True), Limit(5)])
def ship(order_id: Any, carrier: str = "") -> None: ...


@job(limits=Limit(2, key=lambda order_id: 1 // 0))
def broken_key(order_id: int) -> None: ...
