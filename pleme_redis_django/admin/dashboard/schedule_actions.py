"""The dashboard's page of schedules, and what is done there: run now, pause, resume.

POST only, each behind its permission and within the user's products; each leaves a LogEntry.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode

from pleme_redis_django.access.product_scope import ProductScope, scope_of_request
from pleme_redis_django.admin.dashboard.action_view import action_view, log_action, posted_reason
from pleme_redis_django.admin.dashboard.frame import DashboardFrame, View, page_view
from pleme_redis_django.admin.dashboard.schedule_page import shown_schedules
from pleme_redis_django.exceptions import ScheduleNotFound
from pleme_redis_django.models import Schedule
from pleme_redis_django.monitoring.schedules import schedule_products, schedule_reports, schedule_rows
from pleme_redis_django.schedules.controls import pause_schedule, resume_schedule
from pleme_redis_django.schedules.firing import run_schedule_now
from pleme_redis_django.schedules.reading import UNREADABLE

SCHEDULES_PER_PAGE = 25
SCHEDULE_PAGE = "schedules"


class ScheduleActions(DashboardFrame):
    """The schedules' part of the dashboard."""

    def schedule_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        pages: list[tuple[str, View, str]] = [
            ("schedule/", self.schedules_page, SCHEDULE_PAGE),
            ("schedule/<int:schedule_id>/run/", self.run_schedule_view, "schedule_run"),
            ("schedule/<int:schedule_id>/pause/", self.pause_schedule_view, "schedule_pause"),
            ("schedule/<int:schedule_id>/resume/", self.resume_schedule_view, "schedule_resume"),
        ]
        return [path(route, view(page), name=f"pleme_redis_django_{name}") for route, page, name in pages]

    @page_view
    def schedules_page(self, request: HttpRequest, scope: ProductScope) -> HttpResponse:
        """Show the schedules, a few a page: those that are disabled first."""
        page = Paginator(schedule_rows(scope), SCHEDULES_PER_PAGE).get_page(request.GET.get("page"))
        own = scope_of_request(request)
        context = {
            "schedules": shown_schedules(
                schedule_reports(list(page.object_list)),
                job_url=self.job_url,
                edit_url=lambda row: self._schedule_url(request, "change", row.pk),
            ),
            "schedule_count": page.paginator.count,
            "page": page,
            "products": sorted(own.products) if own.products is not None else schedule_products(),
            "may_run": self.may(request, "run_schedule"),
            "may_pause": self.may(request, "pause_schedule"),
            "add_url": self._schedule_url(request, "add"),
        }
        return self.render(request, SCHEDULE_PAGE, context, template="schedules")

    @action_view("run_schedule")
    def run_schedule_view(self, request: HttpRequest, schedule_id: int) -> HttpResponse:
        """Enqueue a schedule's job now."""
        row = self._schedule(request, schedule_id)
        try:
            job = run_schedule_now(row.name, product=row.product, asked_by=request.user.get_username())
        except (*UNREADABLE, ScheduleNotFound) as error:
            self.message_user(request, f"Nothing was enqueued: {error}", messages.ERROR)
        else:
            log_action(request, row, f"Run now: job {job.pk}.")
            self.message_user(request, f"The job {job.pk} of {row.name} is enqueued.", messages.SUCCESS)
        return self._to_schedules(request)

    @action_view("pause_schedule")
    def pause_schedule_view(self, request: HttpRequest, schedule_id: int) -> HttpResponse:
        row, reason = self._schedule(request, schedule_id), posted_reason(request)
        user = request.user.get_username()
        try:
            changed = pause_schedule(row.name, product=row.product, reason=reason, paused_by=user)
        except ScheduleNotFound as error:
            raise Http404(str(error)) from error
        if changed:
            log_action(request, row, f"Paused: {reason}")
            self.message_user(request, f"{row.name} is paused.", messages.SUCCESS)
        else:
            self.message_user(request, f"{row.name} was paused already.", messages.WARNING)
        return self._to_schedules(request)

    @action_view("pause_schedule")
    def resume_schedule_view(self, request: HttpRequest, schedule_id: int) -> HttpResponse:
        """Have a paused or a disabled schedule fire again."""
        row = self._schedule(request, schedule_id)
        try:
            changed = resume_schedule(row.name, product=row.product)
        except (*UNREADABLE, ScheduleNotFound) as error:
            self.message_user(request, f"{row.name} still cannot be read: {error}", messages.ERROR)
        else:
            if changed:
                log_action(request, row, "Resumed.")
                self.message_user(request, f"{row.name} fires again.", messages.SUCCESS)
            else:
                self.message_user(request, f"{row.name} was not paused.", messages.WARNING)
        return self._to_schedules(request)

    def _schedule(self, request: HttpRequest, schedule_id: int) -> Schedule:
        """Return the schedule, if it is the user's to touch."""
        row = schedule_rows().filter(pk=schedule_id).first()
        if row is None:
            raise Http404
        if not scope_of_request(request).allows(row.product):
            raise PermissionDenied
        return row

    def _to_schedules(self, request: HttpRequest) -> HttpResponse:
        query = {name: request.POST.get(name, "") for name in ("product", "page")}
        named = urlencode({name: value for name, value in query.items() if value})
        return redirect(f"{self.page_url(SCHEDULE_PAGE)}{f'?{named}' if named else ''}")

    def _schedule_url(self, request: HttpRequest, page: str, *arguments: Any) -> str:
        """Return the address of a page of the schedules' own admin, "" where the user may not see it."""
        permission = f"pleme_redis_django.{'add' if page == 'add' else 'view'}_schedule"
        changes = request.user.has_perm("pleme_redis_django.change_schedule")
        if not self.admin_site.is_registered(Schedule):
            return ""
        if not request.user.has_perm(permission) and not (page == "change" and changes):
            return ""
        name = f"admin:pleme_redis_django_schedule_{page}"
        return reverse(name, args=arguments, current_app=self.admin_site.name)
