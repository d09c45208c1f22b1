"""The shop's jobs. Django finds this module in every installed app."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import F, Sum
from django.utils import timezone

from example_project.shop.catalog import batches, read_catalog, save_items, search_text
from example_project.shop.deliveries import BookedDelivery, DeliveredLine
from example_project.shop.models import Accident, CatalogItem, Order, OrderLine, Thumbnail
from example_project.shop.orders import place_random_orders
from example_project.shop.tasks import send_order_confirmation
from pleme_redis_django import CacheManager, JobContext, Limit, ProviderError, Rate, cron, job

PROGRESS_EVERY = 100
# One customer in ten loses the e-mail, and asks for it once more.
ASKS_AGAIN_EVERY = 10
LABEL_PRINTER = ("127.0.0.1", 1)  # tcpmux: nothing listens there
CONNECT_TIMEOUT_SECONDS = 5.0


@job(unique="while_running")
def import_catalog(ctx: JobContext, orders: int = 0, seed: int = 1) -> dict[str, int]:
    """Import every airport of the data set, then let customers order some."""
    items = read_catalog()
    done = 0
    for batch in batches(items, PROGRESS_EVERY):
        save_items(batch)
        done += len(batch)
        ctx.progress(done, len(items))
    # Raises when the cache is away: the import is then tried again, instead of old pages being shown.
    CacheManager().flush_product()
    if orders:
        take_orders.enqueue(count=orders, seed=seed)
    return {"imported": done}


# Atomic: with the worker killed in the middle, what it has enqueued would be enqueued once more.
@job(unique="while_running", atomic=True)
def take_orders(count: int, seed: int) -> dict[str, int]:
    """Place orders of made-up customers; each brings its confirmation e-mail with it."""
    orders = place_random_orders(count, seed)
    asked_again = orders[::ASKS_AGAIN_EVERY]
    for order in asked_again:
        send_order_confirmation.enqueue(order.number)
    for order in orders:
        for step in (pick_prints, wrap_parcel, call_courier):
            step.enqueue(order.number)
    return {"orders": len(orders), "confirmed_again": len(asked_again)}


@job(schedule=cron("0 3 * * *", timezone="Europe/Berlin", catch_up="one"))
def report_of_the_day() -> dict[str, int]:
    """Count the orders of the last 24 hours, each night at three; the job's result is the report."""
    since = timezone.now() - timedelta(days=1)
    lines = OrderLine.objects.filter(order__placed_at__gte=since)
    total = lines.aggregate(cents=Sum(F("quantity") * F("unit_price_cents"), default=0))
    return {"orders": Order.objects.filter(placed_at__gte=since).count(), "revenue_cents": total["cents"]}


@job(timeout=3, kill_after=5, retry_on_timeout=False)
def import_supplier_prices() -> dict[str, int]:
    """Read the prices of a supplier that has hung up on nobody and sends nothing: the timeout ends it."""
    ours, _theirs = socket.socketpair()
    with ours, _theirs:
        ours.settimeout(0.2)
        received = b""
        while b"end" not in received:
            with suppress(TimeoutError):  # Patient with a slow supplier, as so much code is.
                received += ours.recv(4096)
    return {"bytes": len(received)}


@job(atomic=True)
def book_delivery(arrived_on: date, lines: list[DeliveredLine]) -> BookedDelivery:
    """Put delivered prints on the shelf; the count and the end of the job are one commit.

    The annotations say what the row's JSON is: a wrong line is refused where the job is enqueued.
    """
    for line in lines:
        CatalogItem.objects.filter(code=line.code).update(stock=F("stock") + line.prints)
    cost = sum((line.prints * line.unit_cost for line in lines), Decimal())
    return BookedDelivery(prints=sum(line.prints for line in lines), cost=cost)


@job(isolated=True, timeout=30, max_retries=0)
def measure_photo(name: str) -> dict[str, int]:
    """Decode a photo that a supplier has sent: one that crashes the image library ends a process of its own."""
    from PIL import Image  # Only where it is used: each process would load it as it starts.

    with default_storage.open(name) as file, Image.open(file) as photo:
        photo.load()
        return {"width": photo.width, "height": photo.height}


@job
def index_item(code: str) -> dict[str, int]:
    """Write the words by which an item is found."""
    item = CatalogItem.objects.get(code=code)
    item.search_text = search_text(item)
    item.save(update_fields=["search_text"])
    return {"words": len(item.search_text.split())}


@job(queue_name="images", priority=-10)
def draw_thumbnail(code: str) -> dict[str, Any]:
    """Draw the card of an item and store it."""
    from example_project.shop.thumbnails import draw_card  # As above.

    item = CatalogItem.objects.get(code=code)
    picture = draw_card(item)
    thumbnail = Thumbnail.objects.filter(item=item).first() or Thumbnail(item=item)
    if thumbnail.image:
        thumbnail.image.delete(save=False)
    # Also saves the row, which therefore never is without its picture.
    thumbnail.image.save(f"{code}.png", ContentFile(picture))
    return {"file": thumbnail.image.name, "bytes": len(picture)}


@job
async def count_by_country(country: str) -> dict[str, Any]:
    """Count a country's items, through Django's async ORM."""
    return {"country": country, "items": await CatalogItem.objects.filter(country=country).acount()}


@job(base_retry_delay=1)
async def check_mail_server() -> dict[str, Any]:
    """Greet the mail server over asyncio streams, and note how it introduces itself."""
    opening = asyncio.open_connection(settings.SMTP_HOST, settings.SMTP_PORT)
    reader, writer = await asyncio.wait_for(opening, CONNECT_TIMEOUT_SECONDS)
    try:
        banner = await reader.readline()
        writer.write(b"NOOP\r\nQUIT\r\n")
        answer = await reader.readline()
        await reader.read()
    finally:
        writer.close()
    if not answer.startswith(b"250"):
        raise ProviderError(f"The mail server answered {answer!r} to NOOP.", error_code="smtp_unwell")
    return {"banner": banner.decode(errors="replace").strip()}


# There is one printer.
@job(queue_name="labels", max_retries=2, base_retry_delay=1, limits=Limit(1))
def print_label(order: str) -> None:
    """Send an order's label to the label printer, which is switched off: fails every time."""
    try:
        socket.create_connection(LABEL_PRINTER, timeout=CONNECT_TIMEOUT_SECONDS).close()
    except OSError as error:
        raise ProviderError(
            f"The label printer did not take the label of {order}: {error}", error_code="printer_off"
        ) from error


def parcel_of(order: str) -> str:
    """Return the key of an order: its steps come one after the other."""
    return f"order:{order}"


IN_ORDER = Limit(1, key=parcel_of, in_order=True)


@job(limits=IN_ORDER)
def pick_prints(order: str) -> dict[str, int]:
    """Take the prints of an order from the shelf."""
    return {"prints": sum(line.quantity for line in OrderLine.objects.filter(order__number=order))}


@job(limits=IN_ORDER)
def wrap_parcel(order: str) -> dict[str, str]:
    """Wrap what was picked."""
    return {"to": Order.objects.get(number=order).customer_name}


@job(limits=IN_ORDER)
def call_courier(order: str) -> dict[str, str]:
    """Have the wrapped parcel fetched."""
    return {"parcel": order}


@job(limits=Rate(5, per_seconds=1, key="supplier", burst=5))
def ask_price(code: str) -> dict[str, int]:
    """Ask the supplier for the price of a print; they allow five calls a second."""
    return {"cents": CatalogItem.objects.get(code=code).price_cents // 2}


@job
def crash_the_worker_once(name: str) -> dict[str, int]:
    """Kill the worker process that runs it, as a bug in a C library would; only the first time."""
    accident, is_first = Accident.objects.get_or_create(name=name)
    if is_first:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"accident": accident.pk}
