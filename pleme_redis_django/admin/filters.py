"""Filters of job lists that cost the same however many jobs there are.

The choices of a column are what the newest jobs hold, not a DISTINCT over the table. Times of
creation are those of the ids: a UUIDv7 begins with one, and the primary key is indexed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from pleme_redis_django.access.product_scope import scope_of_request
from pleme_redis_django.admin.search.conditions import first_id
from pleme_redis_django.conf import get_settings
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import WorkerProcess
from pleme_redis_django.models.indexes import BLOCKED_CONDITION
from pleme_redis_django.monitoring.limits import gate_in_words
from pleme_redis_django.monitoring.spans import JOB_LIST_SPANS
from pleme_redis_django.orm_store.flow.gates import TOKEN_PREFIX, gate_of
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.templatetags.pleme_dashboard import type_name

RECENT_JOBS = 2_000
CHOICES_LIMIT = 50
ORDER_PARAMETER, OLDEST_FIRST = "order", "oldest"
_RECENT_FIELDS = ("product", "queue_name", "job_type")
_CACHE_ATTRIBUTE = "_pleme_recent_values"


class RecentValueFilter(admin.SimpleListFilter):
    """Filters by one column; offers the values among the newest jobs, and the one in the address."""

    field: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        values = set(recent_values(request, model_admin)[self.field])
        chosen = request.GET.get(str(self.parameter_name))
        # The chosen one first: behind the cut, nothing would look chosen.
        offered = [*([chosen] if chosen else []), *sorted(values - {chosen})][:CHOICES_LIMIT]
        return [(value, type_name(value)) for value in offered]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.field: self.value()}) if self.value() else queryset

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1 or bool(self.value())


class QueueFilter(RecentValueFilter):
    title, parameter_name, field = "queue (of recent jobs)", "queue", "queue_name"


class TypeFilter(RecentValueFilter):
    title, parameter_name, field = "type (of recent jobs)", "type", "job_type"


class ProductFilter(RecentValueFilter):
    title, parameter_name, field = "product (of recent jobs)", "product", "product"


class CreatedFilter(admin.SimpleListFilter):
    """Filters by age, through the ids."""

    title, parameter_name = "created", "created"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(span.name, f"Past {span.title}") for span in JOB_LIST_SPANS.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(created_within(self.value()))


class FinishedFilter(admin.SimpleListFilter):
    """Filters by how long ago a job came to its end."""

    title, parameter_name = "finished", "finished"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(span.name, f"Past {span.title}") for span in JOB_LIST_SPANS.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if (chosen := JOB_LIST_SPANS.get(self.value() or "")) is None:
            return queryset
        since = timezone.now() - chosen.length
        # By the status too: ``failed_at`` alone may be that of a retry.
        unsuccessful = Q(status__in=[JobStatus.FAILED, JobStatus.CANCELLED], failed_at__gte=since)
        return queryset.filter(Q(status=JobStatus.COMPLETED, completed_at__gte=since) | unsuccessful)


class AttemptsFilter(admin.SimpleListFilter):
    """Filters by whether a job was claimed more than once."""

    title, parameter_name = "attempts", "attempts"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [("0", "Not started"), ("1", "One"), ("more", "More than one")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "0" | "1" as attempts:
                return queryset.filter(attempt=int(attempts))
            case "more":
                return queryset.filter(attempt__gt=1)
        return queryset


class WorkerFilter(admin.SimpleListFilter):
    """Filters by the worker process of the last claim; offers those with the newest heartbeats."""

    title, parameter_name = "worker", "worker"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        workers = WorkerProcess._base_manager.using(get_settings().database).all()
        rows = scope_of_request(request).narrow_with_shared(workers)
        return [(str(row.pk), str(row)) for row in rows.order_by("-heartbeat_at", "id")[:CHOICES_LIMIT]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        try:
            return queryset.filter(worker_id=self.value())
        except ValidationError:  # an address with something that is not an id
            return queryset.none()

    def has_output(self) -> bool:
        return bool(self.lookup_choices or self.value())


class GateFilter(admin.SimpleListFilter):
    """Filters by the gate at which a job waits, for a place or for a token; offers the one in the address alone."""

    title, parameter_name = "where it waits", "gate"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        text = request.GET.get(str(self.parameter_name))
        if not text:
            return []
        gate = gate_of(text)
        return [(text, type_name(text if gate is None else gate_in_words(gate)))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not (text := self.value()):
            return queryset
        return queryset.filter(BLOCKED_CONDITION, blocked_on__in=[text, f"{TOKEN_PREFIX}{text}"])

    def has_output(self) -> bool:
        return bool(self.value())


class OrderFilter(admin.SimpleListFilter):
    """Chooses what comes first; the newest does, unless the address says otherwise."""

    title, parameter_name = "order", ORDER_PARAMETER

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(OLDEST_FIRST, "Longest wait or run first")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        usual, *others = super().choices(changelist)
        yield {**usual, "display": "Newest first"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset  # The list itself puts them in order.


def created_within(span: str | None) -> Q:
    """Return the condition of one of the spans of creation, an empty one for none."""
    chosen = JOB_LIST_SPANS.get(span or "")
    return Q() if chosen is None else Q(id__gte=first_id(timezone.now() - chosen.length))


def recent_values(request: HttpRequest, model_admin: Any) -> dict[str, set[str]]:
    """Return the products, queues and types of the newest jobs that the user sees; one query a request."""
    known: dict[str, set[str]] | None = getattr(request, _CACHE_ATTRIBUTE, None)
    if known is None:
        visible = model_admin.get_queryset(request)
        # The newest of all products: to find as many of one product could read the whole table.
        newest = JobTable(model_admin.model, visible.db).rows().order_by("-id").values("id")[:RECENT_JOBS]
        rows = list(visible.filter(id__in=newest).order_by().values_list(*_RECENT_FIELDS))
        known = {field: {row[index] for row in rows} for index, field in enumerate(_RECENT_FIELDS)}
        setattr(request, _CACHE_ATTRIBUTE, known)
    return known
