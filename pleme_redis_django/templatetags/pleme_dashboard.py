"""How the dashboard's figures look in a template; ``dashboard.js`` writes the same ones the same way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeGuard

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from pleme_redis_django import durations
from pleme_redis_django.conf import get_settings
from pleme_redis_django.direction_marks import without_reordering
from pleme_redis_django.monitoring.figures import Cards, FailureGroup, QueueFigures, WorkerFigures
from pleme_redis_django.monitoring.queue_health import is_late

NOTHING = "–"  # noqa: RUF001 - an en dash, as wide as a digit
SPARK_WIDTH, SPARK_HEIGHT = 96, 24
PAGES_OF_PRODUCTS = frozenset(
    {"dashboard_changelist", "queues", "workers", "errors", "schedules", "realtime"}
)

register = template.Library()


def _is_number(value: object) -> TypeGuard[float]:
    # The row that the script copies has no values: its fields are empty texts here.
    return isinstance(value, int | float)


@register.filter
def count(number: int | None) -> str:
    """Return a whole number with its digits grouped."""
    return f"{number:,}" if _is_number(number) else NOTHING


@register.filter
def depth(figures: QueueFigures | Cards | str, field: str) -> str:
    """Return how many jobs there are, with a + where there may be more than were counted."""
    if isinstance(figures, str) or (number := getattr(figures, field)) is None:
        return NOTHING
    return f"{number:,}+" if figures.is_capped else f"{number:,}"


@register.filter
def outlook(queue: QueueFigures | str) -> str:
    """Return when the ready jobs will be through, or that they will not as things go."""
    if isinstance(queue, str) or queue.clears_in_seconds is not None:
        return NOTHING if isinstance(queue, str) else span(queue.clears_in_seconds)
    if not queue.ready or queue.growth_per_minute is None:
        return NOTHING
    return f"grows by {queue.growth_per_minute:,.0f}/min" if queue.growth_per_minute >= 0.5 else "steady"


@register.filter
def slot_kinds(worker: WorkerFigures | str) -> list[tuple[str, int, int]]:
    """Return for sync and async jobs how many slots are in use, of how many."""
    if isinstance(worker, str):
        return [("sync", 0, 0), ("async", 0, 0)]
    return [
        ("sync", worker.running - worker.async_running, worker.slots - worker.async_slots),
        ("async", worker.async_running, worker.async_slots),
    ]


@register.filter
def span(seconds: float | None) -> str:
    """Return a duration in words."""
    return durations.duration(max(seconds, 0)) if _is_number(seconds) else NOTHING


@register.filter
def pace(per_minute: float | None) -> str:
    """Return a pace with a decimal where it tells anything."""
    if not _is_number(per_minute):
        return NOTHING
    return f"{per_minute:,.1f}" if 0 < per_minute < 9.95 else f"{per_minute:,.0f}"


@register.filter
def share(fraction: float | None) -> str:
    return f"{100 * fraction:.1f} %" if _is_number(fraction) else NOTHING


@register.filter
def plain(text: object) -> str:
    """Return text that may come from anyone, with its direction marks as escapes."""
    return without_reordering(str(text))


@register.filter
def type_name(text: str) -> SafeString:
    """Return the path of a job type, which breaks behind its dots and not in the middle of a word."""
    parts = re.split(r"(?<=[._])", without_reordering(text))
    return format_html("<bdi>{}</bdi>", format_html_join("", "{}<wbr>", ((part,) for part in parts)))


@register.filter
def ago(at: datetime | None) -> SafeString | str:
    """Return how long ago something was, with its exact time."""
    return _timed(at, f"{_lasted(at)} ago") if isinstance(at, datetime) else NOTHING


@register.filter
def since(at: datetime | None) -> SafeString | str:
    """Return since when something is so, and for how long: the time of day, with the date if that is another one."""
    if not isinstance(at, datetime):
        return NOTHING
    local, now = _local(at), _local(timezone.now())
    shown = f"{local:%H:%M}" if local.date() == now.date() else f"{local:%Y-%m-%d %H:%M}"
    return _timed(at, f"{shown} ({_lasted(at)})")


def _lasted(at: datetime) -> str:
    return durations.duration(max((timezone.now() - at).total_seconds(), 0))


def _local(at: datetime) -> datetime:
    # Naive where the project says USE_TZ = False.
    return timezone.localtime(at) if timezone.is_aware(at) else at


def _timed(at: datetime, words: str) -> SafeString:
    title = f"{_local(at):%Y-%m-%d %H:%M:%S %Z}".rstrip()
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), title, words)


@register.filter
def late(queue: QueueFigures | str) -> bool:
    """Whether the jobs of a queue wait longer than they shall."""
    return isinstance(queue, QueueFigures) and is_late(queue, get_settings().dashboard_max_wait)


@register.filter
def spark_points(depths: Sequence[int | None]) -> str:
    """Return the points of a sparkline, the highest depth at its top; unmeasured steps are left out."""
    highest = max((depth for depth in depths if depth is not None), default=0) or 1
    step = SPARK_WIDTH / max(len(depths) - 1, 1)
    return " ".join(
        f"{index * step:.1f},{SPARK_HEIGHT - 1 - depth * (SPARK_HEIGHT - 2) / highest:.1f}"
        for index, depth in enumerate(depths)
        if depth is not None
    )


@register.simple_tag(takes_context=True)
def job_list(context: Any, figure: str, product: str = "", queue: str = "", gate: str = "") -> str:
    """Return the address of the jobs behind a figure, "" where the site does not list jobs."""
    if not context.get("jobs_url"):
        return ""
    query = {**context["job_queries"][figure], "product": product or context.get("product")}
    query |= {"queue": queue, "gate": gate}
    return f"{context['jobs_url']}?{urlencode({name: value for name, value in query.items() if value})}"


@register.simple_tag(takes_context=True)
def failed_jobs(context: Any, group: FailureGroup, span: str) -> str:
    """Return the address of the jobs of a group that failed within the span, "" where the site lists none."""
    if not context.get("jobs_url"):
        return ""
    query = {
        "status__exact": "FAILED",
        "finished": span,
        "type": group.job_type,
        "product": context.get("product"),
        "q": f"error:{group.fingerprint}" if group.fingerprint else "",
    }
    return f"{context['jobs_url']}?{urlencode({name: value for name, value in query.items() if value})}"


@register.simple_tag(takes_context=True)
def dashboard_url(context: Any, page: str, *arguments: str) -> str:
    """Return the address of a page of the dashboard, on the AdminSite that shows this one.

    Pages of several products keep the chosen one.
    """
    address = reverse(
        f"admin:pleme_redis_django_{page}", args=arguments, current_app=context["request"].current_app
    )
    product = context.get("product", "")
    is_kept = product and page in PAGES_OF_PRODUCTS
    return f"{address}?{urlencode({'product': product})}" if is_kept else address
