"""One page: what the shop has, and how its jobs are doing."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from example_project.shop.models import CatalogItem, EmailJob, Order, Thumbnail
from example_project.shop.status import jobs_by_status
from pleme_redis_django import Job

NEWEST = 24


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    context = {
        "counts": {
            "catalog items": CatalogItem.objects.count(),
            "orders": Order.objects.count(),
            "thumbnails": Thumbnail.objects.count(),
        },
        "jobs": [
            ("jobs", jobs_by_status(Job.objects.all())),
            ("e-mail jobs", jobs_by_status(EmailJob.objects.all())),
        ],
        "thumbnails": Thumbnail.objects.select_related("item").order_by("-drawn_at")[:NEWEST],
    }
    return render(request, "shop/overview.html", context)
