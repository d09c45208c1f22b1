"""What the shop has, how its jobs are doing, and the pages of the catalog."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from example_project.shop.models import CatalogItem, EmailJob, Order, Thumbnail
from example_project.shop.status import jobs_by_status
from pleme_redis_django import Job, cached

NEWEST = 24
ITEMS_PER_PAGE = 60


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    context = {
        "counts": _grouped(
            {
                "catalog items": CatalogItem.objects.count(),
                "orders": Order.objects.count(),
                "thumbnails": Thumbnail.objects.count(),
            }
        ),
        "jobs": [
            ("jobs", _grouped(jobs_by_status(Job.objects.all()))),
            ("e-mail jobs", _grouped(jobs_by_status(EmailJob.objects.all()))),
        ],
        "thumbnails": Thumbnail.objects.select_related("item").order_by("-drawn_at")[:NEWEST],
    }
    return render(request, "shop/overview.html", context)


@require_safe
@cached(300, grace=60)  # until the next import: import_catalog flushes the product
def catalog(request: HttpRequest, number: int = 1) -> HttpResponse:
    items = CatalogItem.objects.only("code", "name", "city", "country", "price_cents")
    page = Paginator(items, ITEMS_PER_PAGE).get_page(number)
    return render(request, "shop/catalog.html", {"page": page})


def _grouped(counts: dict[str, int]) -> dict[str, str]:
    return {name: f"{count:,}" for name, count in counts.items()}
