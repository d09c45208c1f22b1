"""DashboardAdmin: the URLs of the jobs dashboard's pages, and what each of them shows.

Its URLs are those of a ModelAdmin, so the dashboard is on every AdminSite that registers ``Dashboard``
with it, without a change of ``urls.py``. A page makes the same number of queries however many jobs,
queues and viewers there are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.generic import RedirectView

from pleme_redis_django.access.product_scope import ProductScope, scope_of_request
from pleme_redis_django.admin.dashboard.actions import DashboardActions
from pleme_redis_django.admin.dashboard.charts import chart_context, chosen_span, series_of, span_options
from pleme_redis_django.admin.dashboard.conditional_json import conditional_json
from pleme_redis_django.admin.dashboard.frame import View, page_view
from pleme_redis_django.admin.dashboard.limit_actions import LimitActions
from pleme_redis_django.admin.dashboard.realtime_page import realtime_state
from pleme_redis_django.admin.dashboard.schedule_actions import ScheduleActions
from pleme_redis_django.admin.dashboard.storage_page import storage_context
from pleme_redis_django.admin.dashboard.worker_page import worker_rows
from pleme_redis_django.conf import get_settings
from pleme_redis_django.durations import duration
from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name
from pleme_redis_django.models import QueuePause
from pleme_redis_django.monitoring.failure_groups import CAUSES_COUNTED, failed_products, failure_groups
from pleme_redis_django.monitoring.queue_health import promised_wait
from pleme_redis_django.monitoring.snapshot import (
    QUEUES_SHOWN,
    WORKERS_SHOWN,
    measured_queues,
    queue_figures,
    snapshot,
    was_measured,
)
from pleme_redis_django.monitoring.spans import FAILURE_SPANS
from pleme_redis_django.monitoring.worker_figures import worker_figures
from pleme_redis_django.operations import paused_queues
from pleme_redis_django.products import validate_product

QUEUES_PER_PAGE = 100
_IDLE_QUEUE = "No job waits or runs in this queue, and none has ended within the last hour."
_UNKNOWN_QUEUE = (
    "No measurement of the last week has found a job in a queue of this name. Is it the name that jobs are "
    "enqueued with?"
)
# What a page asks for that has more rows than a snapshot: it polls, since the socket sends snapshots.
_WHOLE = {"whole": "1"}
PAUSE_HISTORY_READ, PAUSE_HISTORY_SHOWN = 200, 10


class DashboardAdmin(ScheduleActions, LimitActions, DashboardActions):
    """The jobs dashboard. On an AdminSite of your own: ``site.register(Dashboard, DashboardAdmin)``.

    To see it takes the permission ``view_job``; its actions take ``pause_job``, ``retry_job``,
    ``drain_workerprocess``, ``release_lock``, ``run_schedule``, ``pause_schedule`` and ``change_flowlimit``.
    """

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        pages: list[tuple[str, View, str]] = [
            ("", self.overview_page, "dashboard_changelist"),
            ("queue/", self.queues_page, "queues"),
            ("queue/pause/", self.pause_view, "queue_pause"),
            ("queue/resume/", self.resume_view, "queue_resume"),
            ("queue/<str:product>/<str:queue>/", self.queue_page, "queue"),
            ("worker/", self.workers_page, "workers"),
            ("worker/<uuid:worker_id>/drain/", self.drain_view, "worker_drain"),
            ("error/", self.errors_page, "errors"),
            ("error/retry/", self.retry_group_view, "error_retry"),
            ("storage/", self.storage_page, "storage"),
            ("realtime/", self.realtime_page, "realtime"),
            ("realtime/release/", self.release_view, "lock_release"),
            ("data.json", self.data_view, "dashboard_data"),
            ("series.json", self.series_view, "dashboard_series"),
        ]
        named = [path(route, view(page), name=f"pleme_redis_django_{name}") for route, page, name in pages]
        redirects = [
            path(f"{tab}s/", _redirect_to_tab(tab))
            for tab in ("queue", "worker", "error", "schedule", "limit")
        ]
        return [*named, *self.schedule_urls(), *self.limit_urls(), *redirects]

    # Pages

    @page_view
    def overview_page(self, request: HttpRequest, scope: ProductScope) -> HttpResponse:
        """Show the overview: the entry of the sidebar."""
        shown = snapshot(scope, model=self.job_model)
        context = {
            "snapshot": shown,
            "reasons": self.reasons(shown.health),
            "causes_are_capped": shown.cause_count >= CAUSES_COUNTED,
            "products": self._products(request),
            **chart_context(request, scope, self.job_model),
        }
        return self.render(request, "dashboard_changelist", context, template="overview", live={})

    @page_view
    def queues_page(self, request: HttpRequest, scope: ProductScope) -> HttpResponse:
        """Show every queue, a hundred a page."""
        measured, queues = measured_queues(scope, model=self.job_model)
        page = Paginator(queues, QUEUES_PER_PAGE).get_page(request.GET.get("page"))
        context = {
            "queues": page.object_list,
            "queue_count": len(queues),
            "is_old": measured.is_overdue,
            "sampled_at": measured.at,
            "page": page,
            "products": self._products(request),
            "pauses": self._pauses(request, scope),
            "pause_history": self._pause_history(scope),
        }
        live = {"data": _WHOLE if len(queues) > QUEUES_SHOWN else {}}
        return self.render(request, "queues", context, template="queues", live=live)

    @page_view
    def queue_page(self, request: HttpRequest, scope: ProductScope, product: str, queue: str) -> HttpResponse:
        """Show one queue of one product: its figures, its pause, its charts."""
        try:
            validate_product(product)
            validate_queue_name(queue)
        except InvalidName as error:
            raise Http404(str(error)) from error
        if not scope.allows(product):
            raise PermissionDenied
        only = ProductScope(products=frozenset([product]))
        measured, every_queue = measured_queues(scope, model=self.job_model)
        shown = [each for each in every_queue if (each.product, each.queue) == (product, queue)]
        is_known = bool(shown) or was_measured(product, queue, model=self.job_model)
        promise = promised_wait(queue, get_settings().dashboard_max_wait)
        context = {
            "product_name": product,
            "queue_name": queue,
            "queues": shown,
            "no_queue": _IDLE_QUEUE if is_known else _UNKNOWN_QUEUE,
            "is_old": measured.is_overdue,
            "sampled_at": measured.at,
            "pauses": [
                each
                for each in paused_queues(product=product, model=self.job_model)
                if each.queue_name == queue
            ],
            "promise": f"maximum wait: {duration(promise)}",
            "may_pause": self.may(request, "pause"),
            "may_pause_everywhere": self.may_pause_everywhere(request),
            **chart_context(request, only, self.job_model, queue=queue),
        }
        live = {
            "data": {"product": product, **_WHOLE} if len(every_queue) > QUEUES_SHOWN else {},
            "series": {"product": product, "queue": queue},
        }
        title = f"Queue {queue} ({product})"
        return self.render(request, "queues", context, template="queue", title=title, live=live)

    @page_view
    def workers_page(self, request: HttpRequest, scope: ProductScope) -> HttpResponse:
        """Show every worker process, and what it runs."""
        rows = worker_rows(
            scope,
            self.job_model,
            job_url=self.job_url,
            attempts_url=self.attempts_url(request),
            may_drain=lambda worker: self.may_drain(request, worker.product),
        )
        live = {"data": _WHOLE if len(rows) > WORKERS_SHOWN else {}}
        return self.render(request, "workers", {"rows": rows}, template="workers", live=live)

    @page_view
    def errors_page(self, request: HttpRequest, scope: ProductScope) -> HttpResponse:
        """Show what failed, by cause."""
        span = chosen_span(request, FAILURE_SPANS, default="24h")
        found = failure_groups(scope, span, model=self.job_model)
        context = {
            "failures": found.groups,
            "cause_count": found.cause_count,
            "causes_are_capped": found.cause_count >= CAUSES_COUNTED,
            "failures_are_capped": found.is_capped,
            "span_title": FAILURE_SPANS[span].title,
            "chosen_span": span,
            "spans": span_options(request, FAILURE_SPANS),
            "may_retry": self.may(request, "retry"),
            "products": self._products(request, failed_products(span, model=self.job_model)),
        }
        return self.render(request, "errors", context, template="errors")

    @page_view
    def storage_page(self, request: HttpRequest, _scope: ProductScope) -> HttpResponse:
        """Show the storage of the job table; it is every product's, and so are the sessions of the database."""
        may_see = scope_of_request(request).products is None
        context = storage_context(self.job_model) if may_see else {}
        return self.render(request, "storage", {"may_see": may_see, **context}, template="storage")

    @page_view
    def realtime_page(self, request: HttpRequest, scope: ProductScope) -> HttpResponse:
        """Show presence and cache by product, and the locks of one of them."""
        chosen = request.GET.get("product") or None
        state = realtime_state(scope_of_request(request), chosen)
        context = {"state": state, "locks_of": state.locks_of, "may_release": self.may(request, "release")}
        return self.render(request, "realtime", context, template="realtime")

    def _pauses(self, request: HttpRequest, scope: ProductScope) -> list[dict[str, Any]]:
        """Return what is paused now for the products of the scope, each with whether the user may resume it."""
        return [
            {
                "pause": pause,
                "may_resume": self.may(request, "pause")
                if pause.product
                else self.may_pause_everywhere(request),
            }
            for pause in paused_queues(model=self.job_model)
            if scope.allows(pause.product) or (not pause.product and scope.products)
        ]

    def _pause_history(self, scope: ProductScope) -> list[LogEntry]:
        """Return who paused and resumed what of late: the row of a pause is gone once it has ended."""
        about = ContentType.objects.get_for_model(QueuePause)
        entries = LogEntry.objects.filter(content_type=about).select_related("user")
        seen = [entry for entry in entries.order_by("-pk")[:PAUSE_HISTORY_READ] if _is_about(entry, scope)]
        return seen[:PAUSE_HISTORY_SHOWN]

    def _products(self, request: HttpRequest, others: Collection[str] = ()) -> list[str]:
        """Return the products among which the user may choose: their own, or the measured ones and ``others``."""
        scope = scope_of_request(request)
        if scope.products is not None:
            return sorted(scope.products)
        measured = {each.product for each in queue_figures(scope, model=self.job_model)}
        # The chosen one too: without it, a page of one product would say that it is one of all.
        return sorted({*measured, *others, request.GET.get("product", "")} - {""})

    # Data

    @page_view
    def data_view(self, request: HttpRequest, scope: ProductScope) -> HttpResponse:
        """Return the snapshot as JSON, or 304 when the browser has this one; ``whole``: without its caps."""
        shown = snapshot(scope, model=self.job_model)
        if request.GET.get("whole"):
            queues, workers = (
                queue_figures(scope, model=self.job_model),
                worker_figures(scope, model=self.job_model),
            )
            shown = dataclasses.replace(shown, queues=tuple(queues), workers=tuple(workers))
        return conditional_json(request, shown.as_json())

    @page_view
    def series_view(self, request: HttpRequest, scope: ProductScope) -> HttpResponse:
        """Return what the charts draw as JSON, or 304."""
        return conditional_json(
            request, series_of(request, scope, self.job_model, queue=request.GET.get("queue"))
        )


def _redirect_to_tab(tab: str) -> Any:
    """Return the view of what a person types: the tab's title instead of its address."""
    return RedirectView.as_view(url=f"../{tab}/", query_string=True)


def _is_about(entry: LogEntry, scope: ProductScope) -> bool:
    """Whether an entry tells of a product of the scope; its text ends with the product's name."""
    product = entry.object_repr.rpartition(" of ")[2]
    return scope.allows(product) or (product == "every product" and bool(scope.products))
