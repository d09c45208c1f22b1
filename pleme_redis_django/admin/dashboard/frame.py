"""What all pages of the dashboard share: permission, products, tabs, breadcrumbs, live settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import django
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils import timezone

from pleme_redis_django.access.product_scope import ProductScope, scope_of_request
from pleme_redis_django.admin.capped_list import AnyModelAdmin
from pleme_redis_django.admin.content_policy import csp_nonce
from pleme_redis_django.admin.untrusted import refuse_nul
from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidProduct
from pleme_redis_django.models import AbstractJob, Job, JobAttempt, model_label
from pleme_redis_django.monitoring.figures import Health, Reason
from pleme_redis_django.products import validate_product

TABS = {
    "dashboard_changelist": "Overview",
    "queues": "Queues",
    "workers": "Workers",
    "errors": "Errors",
    "schedules": "Schedules",
    "limits": "Limits",
    "storage": "Storage",
    "realtime": "Realtime",
}
# What the job list is asked for, behind each of the dashboard's figures.
JOB_LIST_QUERIES: dict[str, dict[str, str]] = {
    "all": {},
    "ready": {"status__exact": "QUEUED"},
    "oldest": {"status__exact": "QUEUED", "order": "oldest"},
    "running": {"status__exact": "RUNNING"},
    "blocked": {"status__exact": "BLOCKED"},
    "oldest_blocked": {"status__exact": "BLOCKED", "order": "oldest"},
    "pending": {"status__exact": "PENDING"},
    "failed": {"status__exact": "FAILED", "finished": "1h"},
}
POLL_SECONDS = 5
WEBSOCKET_PATH = "ws/pleme/dashboard/"
# Django 6.1 made its breadcrumbs a list.
_BREADCRUMBS_ARE_A_LIST = django.VERSION >= (6, 1)

View = Callable[..., HttpResponse]


def page_view(view: View) -> View:
    """Make a method a page for those who may see the dashboard; it gets the products that they look at."""

    @wraps(view)
    def guarded(self: DashboardFrame, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        refuse_nul(request)
        scope = self.chosen_scope(request, request.GET.get("product"))
        return view(self, request, scope, *args, **kwargs)

    return guarded


class DashboardFrame(AnyModelAdmin):
    """A ModelAdmin without rows, whose pages share a frame."""

    job_model: type[AbstractJob] = Job
    """Whose jobs the dashboard shows and its actions change."""
    websocket_path: str | None = None
    """Below the site's prefix, where a ``DashboardConsumer`` of this very ``job_model`` is mounted.

    None: where ``websocket_application()`` has that of ``Job``; pages of another model poll.
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the user may see the jobs, and so their figures."""
        jobs = self.job_model._meta
        return request.user.has_perm(f"{jobs.app_label}.view_{jobs.model_name}")

    def may(self, request: HttpRequest, action: str) -> bool:
        """Whether the user has the permission of an action: those of the dictionary below."""
        jobs = self.job_model._meta
        permissions = {
            "pause": f"{jobs.app_label}.pause_{jobs.model_name}",
            "retry": f"{jobs.app_label}.retry_{jobs.model_name}",
            "drain": "pleme_redis_django.drain_workerprocess",
            "release": "pleme_redis_django.release_lock",
            "run_schedule": "pleme_redis_django.run_schedule",
            "pause_schedule": "pleme_redis_django.pause_schedule",
            "change_limit": "pleme_redis_django.change_flowlimit",
        }
        return self.has_view_permission(request) and request.user.has_perm(permissions[action])

    def chosen_scope(self, request: HttpRequest, chosen: str | None) -> ProductScope:
        """Return the products that the user looks at: the chosen one, or all that they may see."""
        scope = scope_of_request(request)
        if not chosen:
            return scope
        if not scope.allows(validate_chosen(chosen)):
            raise PermissionDenied
        return ProductScope(products=frozenset([chosen]))

    def page_url(self, page: str, *arguments: str) -> str:
        return reverse(f"admin:pleme_redis_django_{page}", args=arguments, current_app=self.admin_site.name)

    def render(
        self,
        request: HttpRequest,
        page: str,
        context: Mapping[str, Any],
        *,
        template: str,
        title: str | None = None,
        live: Mapping[str, Mapping[str, str]] | None = None,
    ) -> HttpResponse:
        """Return a page of the tab ``page``; ``title`` is that of a page below it.

        ``live``: what a live page asks its data (``data``) and its charts (``series``) for; None: not live.
        """
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            f"pleme_redis_django/dashboard/{template}.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": title or ("Jobs dashboard" if page == "dashboard_changelist" else TABS[page]),
                "crumbs": self._crumbs(page, is_below=title is not None),
                "breadcrumbs_are_a_list": _BREADCRUMBS_ARE_A_LIST,
                "csp_nonce": csp_nonce(request),
                "tabs": _tabs(page),
                "jobs_url": self._url_of_jobs("changelist"),
                "job_queries": JOB_LIST_QUERIES,
                "product": request.GET.get("product", ""),
                "live": None if live is None else self._live_settings(request, live),
                **context,
            },
        )

    def job_url(self, job_id: Any) -> str:
        """Return the address of a job's page, "" where this AdminSite has none."""
        return self._url_of_jobs("change", job_id)

    def attempts_url(self, request: HttpRequest) -> str:
        """Return the address of the list of failed attempts, "" where the user cannot see it."""
        opts = JobAttempt._meta
        may_view = request.user.has_perm(f"{opts.app_label}.view_{opts.model_name}")
        if not may_view or not self.admin_site.is_registered(JobAttempt):
            return ""
        name = f"admin:{opts.app_label}_{opts.model_name}_changelist"
        return reverse(name, current_app=self.admin_site.name)

    def reasons(self, health: Health) -> list[dict[str, str]]:
        """Return the reasons for a state of health, each with the address of the page that shows more."""
        return [
            {"level": each.level, "text": each.text, "url": self._reason_url(each)} for each in health.reasons
        ]

    def _reason_url(self, reason: Reason) -> str:
        if reason.queue and reason.product:
            return self.page_url("queue", reason.product, reason.queue)
        return self.page_url(reason.page) if reason.page else ""

    def _crumbs(self, page: str, *, is_below: bool) -> list[dict[str, str]]:
        site = self.admin_site.name
        crumbs = [
            {"title": "Home", "url": reverse("admin:index", current_app=site)},
            {
                "title": str(self.opts.app_config.verbose_name),
                "url": reverse("admin:app_list", args=[self.opts.app_label], current_app=site),
            },
        ]
        pages = [] if page == "dashboard_changelist" else ["dashboard_changelist"]
        names = {**TABS, "dashboard_changelist": "Jobs dashboard"}
        pages += [page] if is_below else []
        return [*crumbs, *({"title": names[each], "url": self.page_url(each)} for each in pages)]

    def _url_of_jobs(self, page: str, *arguments: Any) -> str:
        jobs = self.job_model._meta
        name = f"admin:{jobs.app_label}_{jobs.model_name}_{page}"
        try:
            return reverse(name, args=arguments, current_app=self.admin_site.name)
        except NoReverseMatch:
            return ""

    def _websocket_address(self) -> str:
        """Return where this model's snapshots come from, "" where there is no such socket."""
        path = self.websocket_path
        if path is None:
            path = WEBSOCKET_PATH if self.job_model is Job else ""
        return get_script_prefix() + path if path else ""

    def _live_settings(
        self, request: HttpRequest, queries: Mapping[str, Mapping[str, str]]
    ) -> dict[str, Any]:
        product = request.GET.get("product")
        chosen = {"product": product} if product else {}
        return {
            "dataUrl": self.page_url("dashboard_data"),
            "seriesUrl": self.page_url("dashboard_series"),
            "websocketPath": self._websocket_address(),
            "model": model_label(self.job_model),
            "timeZone": timezone.get_current_timezone_name(),
            "pollSeconds": POLL_SECONDS,
            "dataQuery": {**chosen, **queries.get("data", {})},
            "seriesQuery": {**chosen, **queries.get("series", {})},
            "jobsUrl": self._url_of_jobs("changelist"),
            "jobQueries": JOB_LIST_QUERIES,
            "queueUrl": self.page_url("queue", "PRODUCT", "QUEUE"),
            "reasonUrls": {page: self.page_url(page) for page in TABS},
            "maxWait": dict(get_settings().dashboard_max_wait),
        }


def _tabs(current: str) -> list[dict[str, Any]]:
    return [{"title": title, "page": page, "is_current": page == current} for page, title in TABS.items()]


def validate_chosen(product: str) -> str:
    """Return a product of the address or a form; one that cannot be is not found."""
    try:
        return validate_product(product)
    except InvalidProduct as error:
        raise Http404(str(error)) from error
