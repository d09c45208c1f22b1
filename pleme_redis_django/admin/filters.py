"""Filters of job lists that cost the same however many jobs there are.

The choices of a column are what the newest jobs hold, not a DISTINCT over the table. Times are
those of the ids: a UUIDv7 begins with its time of creation, and the primary key is indexed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

RECENT_JOBS = 2_000
CHOICES_LIMIT = 50
_RECENT_FIELDS = ("product", "queue_name", "job_type")
_CACHE_ATTRIBUTE = "_pleme_recent_values"


class RecentValueFilter(admin.SimpleListFilter):
    """Filters by one column; offers the values among the newest jobs, and the one in the address."""

    field: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        """Return the offered values."""
        values = set(recent_values(request, model_admin)[self.field])
        chosen = request.GET.get(str(self.parameter_name))
        return [(value, value) for value in sorted(values | ({chosen} if chosen else set()))[:CHOICES_LIMIT]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the jobs with the chosen value."""
        return queryset.filter(**{self.field: self.value()}) if self.value() else queryset

    def has_output(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.lookup_choices) > 1 or bool(self.value())


class QueueFilter(RecentValueFilter):
    title, parameter_name, field = "queue (of recent jobs)", "queue", "queue_name"


class TypeFilter(RecentValueFilter):
    title, parameter_name, field = "type (of recent jobs)", "type", "job_type"


class ProductFilter(RecentValueFilter):
    title, parameter_name, field = "product (of recent jobs)", "product", "product"


class CreatedFilter(admin.SimpleListFilter):
    """Filters by age, through the ids."""

    title = "created"
    parameter_name = "created"
    spans = {
        "10m": ("Past 10 minutes", timedelta(minutes=10)),
        "1h": ("Past hour", timedelta(hours=1)),
        "24h": ("Past 24 hours", timedelta(hours=24)),
        "7d": ("Past 7 days", timedelta(days=7)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        """Return the spans."""
        return [(key, title) for key, (title, _span) in self.spans.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the jobs of the chosen span."""
        chosen = self.spans.get(self.value() or "")
        return queryset if chosen is None else queryset.filter(id__gte=first_id(timezone.now() - chosen[1]))


def recent_values(request: HttpRequest, model_admin: Any) -> dict[str, set[str]]:
    """Return the products, queues and types of the newest jobs; one query a request."""
    known: dict[str, set[str]] | None = getattr(request, _CACHE_ATTRIBUTE, None)
    if known is None:
        newest = model_admin.get_queryset(request).order_by("-id").values_list(*_RECENT_FIELDS)
        rows = list(newest[:RECENT_JOBS])
        known = {field: {row[index] for row in rows} for index, field in enumerate(_RECENT_FIELDS)}
        setattr(request, _CACHE_ATTRIBUTE, known)
    return known


def first_id(at: datetime) -> uuid.UUID:
    """Return the lowest UUIDv7 (RFC 9562, section 5.7) of a time."""
    milliseconds = int(at.timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)


def search_condition(term: str) -> Q:
    """Return what a search means: the beginning of a type, or of an id with at least 8 digits."""
    condition = Q(job_type__startswith=term)
    digits = term.replace("-", "").lower()
    if 8 <= len(digits) <= 32 and all(digit in "0123456789abcdef" for digit in digits):
        first, last = uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
        # Of the two, only the range of ids has an index; text that may be an id is no type.
        condition = Q(id__range=(first, last))
    return condition
