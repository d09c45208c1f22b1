"""The dashboard's page of limits, and what is done there: another number, the code's number again, a new limit.

POST only, behind the permission ``change_flowlimit`` and within the user's products; each leaves a LogEntry.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path

from pleme_redis_django.access.product_scope import ProductScope, scope_of_request
from pleme_redis_django.admin.dashboard.action_view import action_view, log_action, posted_reason
from pleme_redis_django.admin.dashboard.frame import DashboardFrame, View, page_view
from pleme_redis_django.admin.dashboard.limit_page import BAR_WIDTH, numbers_in_words, shown_limits
from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidName, InvalidNumber, StoreError
from pleme_redis_django.models import FlowLimit, LimitKind
from pleme_redis_django.monitoring.limits import limit_reports, limit_rows
from pleme_redis_django.monitoring.order_lines import line_reports
from pleme_redis_django.operations.limits import limits_of, reset_limit, set_limit
from pleme_redis_django.orm_store.job_table import JobTable

LIMIT_PAGE = "limits"


class LimitActions(DashboardFrame):
    """The limits' part of the dashboard."""

    def limit_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        pages: list[tuple[str, View, str]] = [
            ("limit/", self.limits_page, LIMIT_PAGE),
            ("limit/add/", self.add_limit_view, "limit_add"),
            ("limit/<int:limit_id>/change/", self.change_limit_view, "limit_change"),
            ("limit/<int:limit_id>/reset/", self.reset_limit_view, "limit_reset"),
        ]
        return [path(route, view(page), name=f"pleme_redis_django_{name}") for route, page, name in pages]

    @page_view
    def limits_page(self, request: HttpRequest, scope: ProductScope) -> HttpResponse:
        """Show every limit with its fullest gates, and the orders in which jobs wait."""
        rows = limit_rows(scope, model=self.job_model)
        reports = limit_reports(rows, scope, model=self.job_model)
        reports.sort(key=lambda report: (report.state == "free", -report.waiting))
        own = scope_of_request(request)
        context = {
            "limits": shown_limits(reports, self.job_url),
            "lines": [
                {"line": line, "head_url": self.job_url(line.head.pk) if line.head is not None else ""}
                for line in line_reports(scope, model=self.job_model)
            ],
            "bar_width": BAR_WIDTH,
            "kinds": LimitKind.choices,
            "may_change": self.may(request, "change_limit"),
            "may_change_shared": own.products is None,
            "products": sorted(own.products) if own.products is not None else [],
        }
        return self.render(request, LIMIT_PAGE, context, template="limits")

    @action_view("change_limit")
    def add_limit_view(self, request: HttpRequest) -> HttpResponse:
        """Make a limit that no code has."""
        kind, name, product = (request.POST.get(field, "") for field in ("kind", "name", "of_product"))
        self._check_product(request, FlowLimit(kind=kind, name=name, product=product).own_product)
        if kind == LimitKind.PRODUCT:
            product = ""  # Its name says which, as in the settings' row, which it changes.
        return self._set(request, kind, name, product, shared=bool(request.POST.get("shared")))

    @action_view("change_limit")
    def change_limit_view(self, request: HttpRequest, limit_id: int) -> HttpResponse:
        """Give a limit other numbers, with a reason."""
        row = self._limit(request, limit_id)
        return self._set(request, row.kind, row.name, row.product)

    @action_view("change_limit")
    def reset_limit_view(self, request: HttpRequest, limit_id: int) -> HttpResponse:
        """Give a limit the numbers of the code again, or remove one that no code has."""
        row = self._limit(request, limit_id)
        if reset_limit(row.kind, row.name, product=row.product or None, model=self.job_model):
            log_action(request, row, "The numbers of the code again.")
            self.message_user(request, f"{row} is as the code says.", messages.SUCCESS)
        else:
            self.message_user(request, f"{row} was as the code says already.", messages.WARNING)
        return redirect(self.page_url(LIMIT_PAGE))

    def _set(
        self, request: HttpRequest, kind: str, name: str, product: str, *, shared: bool | None = None
    ) -> HttpResponse:
        reason = posted_reason(request)
        try:
            row = set_limit(
                kind,
                name,
                product=product or None,
                shared=shared,
                max_running=_number(request, "max_running"),
                rate=_number(request, "rate"),
                per_seconds=_number(request, "per_seconds") or 1,
                burst=_number(request, "burst"),
                model=self.job_model,
                reason=reason,
                changed_by=request.user.get_username(),
            )
        except (InvalidName, InvalidNumber, StoreError) as error:
            self.message_user(request, f"Nothing was changed. {error}", messages.ERROR)
        else:
            together = ", all products together" if row.is_shared else ""
            log_action(request, row, f"{numbers_in_words(row)}{together}: {reason}")
            self.message_user(request, f"{row}: {numbers_in_words(row)}.", messages.SUCCESS)
        return redirect(self.page_url(LIMIT_PAGE))

    def _limit(self, request: HttpRequest, limit_id: int) -> FlowLimit:
        """Return the limit, if it is the user's to touch."""
        row = limits_of(JobTable(self.job_model, get_settings().database)).filter(pk=limit_id).first()
        if row is None:
            raise Http404
        self._check_product(request, row.own_product)
        return row

    def _check_product(self, request: HttpRequest, product: str) -> None:
        scope = scope_of_request(request)
        if not (scope.allows(product) if product else scope.products is None):
            raise PermissionDenied


def _number(request: HttpRequest, name: str) -> Any:
    """Return a number of the form, None where it is empty. Other text comes back as typed, to be refused."""
    text = request.POST.get(name, "").strip()
    if not text:
        return None
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text[:80]
