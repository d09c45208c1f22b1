"""ScheduleAdmin: schedules that people make; those of the code are read, and the dashboard has the buttons of both."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from pleme_redis_django.access.product_scope import scope_of_request
from pleme_redis_django.access.redaction import redact_job
from pleme_redis_django.admin.capped_list import AnyModelAdmin
from pleme_redis_django.admin.dashboard.schedule_page import shown_schedules
from pleme_redis_django.admin.display import badge, json_text, moment, plain, text_block
from pleme_redis_django.admin.schedule_form import (
    CALL,
    EDITED_FIELDS,
    OF_JOBS,
    POLICIES,
    TIMING,
    ScheduleForm,
)
from pleme_redis_django.admin.untrusted import is_offered, refuse_nul
from pleme_redis_django.models import Job, Schedule
from pleme_redis_django.models.schedule import ScheduleSource
from pleme_redis_django.monitoring.schedules import ScheduleReport, schedule_reports, schedule_rows
from pleme_redis_django.schedules.controls import save_schedule

_STATE = ("state_shown", "words_shown", "upcoming_shown", "ticks_shown")
_BADGES = {
    "fires": ("✔", "completed"),
    "failing": ("▲", "failed"),
    "late": ("▲", "failed"),
    "disabled": ("✖", "failed"),
    "paused": ("◷", "pending"),
    "ended": ("■", "cancelled"),
}


class ScheduleAdmin(AnyModelAdmin):
    """The list and the form of schedules, each user with the products that the dashboard shows them."""

    form = ScheduleForm
    list_display = ("name", "product", "source", "words_shown", "state_shown", "next_shown")
    list_filter = ("source", "enabled")
    search_fields = ("name", "job_type")
    list_per_page = 50
    show_full_result_count = False
    sortable_by = ("name", "product")
    ordering = ("name", "product", "id")
    date_hierarchy = None

    class Media:
        css = {"all": ("pleme_redis_django/admin.css", "pleme_redis_django/dashboard.css")}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return schedule_rows(scope_of_request(request))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        refuse_nul(request)
        return super().changelist_view(request, extra_context)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether an address may filter by this: any other lookup would read out what ``REDACT`` hides, bit by bit."""
        return is_offered(lookup, self.get_list_filter(request))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form, which knows the user's products."""
        form = super().get_form(request, obj, change, **kwargs)
        return type("ScopedScheduleForm", (form,), {"scope": scope_of_request(request)})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        parameters = "parameters" if self._may_edit(request, obj) else "parameters_shown"
        groups: list[tuple[str | None, tuple[Any, ...]]] = [
            (None, (*CALL[:-1], parameters)),
            ("When", TIMING),
            ("Missed and overlapping ticks", POLICIES),
            ("Its jobs", OF_JOBS),
        ]
        if obj is not None:
            groups.insert(0, ("Now", _STATE))
        return [(title, {"fields": fields}) for title, fields in groups]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if self._may_edit(request, obj):
            return _STATE if obj is not None else ()
        edited = tuple(name for name in EDITED_FIELDS if name != "parameters")
        return (*_STATE, "parameters_shown", *edited)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _is_made_here(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_made_here(obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Leave out the ticks, which go with their schedule, and of which there may be millions."""
        refused = [str(each) for each in objs if not _is_made_here(each)]
        shown = [str(each) for each in objs]
        return shown, {"schedules": len(shown)}, {"schedules of the code"} if refused else set(), []

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        save_schedule(obj)

    def _may_edit(self, request: HttpRequest, obj: Any) -> bool:
        if obj is None:
            return self.has_add_permission(request)
        return self.has_change_permission(request, obj)

    # What is shown

    @admin.display(description="fires")
    def words_shown(self, row: Schedule) -> SafeString:
        return plain(_report(row).words)

    @admin.display(description="state")
    def state_shown(self, row: Schedule) -> SafeString:
        report = _report(row)
        icon, kind = _BADGES[report.state]
        word = f"{report.state.capitalize()}{f': {report.reason}' if report.reason else ''}"
        return badge(icon, word, kind)

    @admin.display(description="next tick")
    def next_shown(self, row: Schedule) -> str:
        return moment(row.next_tick_at) if row.enabled and row.paused_at is None else "-"

    @admin.display(description="next five")
    def upcoming_shown(self, row: Schedule) -> SafeString:
        (shown,) = self._shown(row)
        return plain("; ".join(shown["upcoming"]) or "-")

    @admin.display(description="last ticks")
    def ticks_shown(self, row: Schedule) -> SafeString | str:
        (shown,) = self._shown(row)
        if not shown["ticks"]:
            return "none yet"
        return SafeString(render_to_string("pleme_redis_django/dashboard/strip.html", shown))

    @admin.display(description="parameters")
    def parameters_shown(self, row: Schedule) -> SafeString:
        """Return the parameters as pages show those of a job: as the project's redaction has them."""
        job = Job(product=row.product, job_type=row.job_type, parameters=row.parameters)
        redact_job(job)
        return text_block(json_text(job.parameters))

    def _shown(self, row: Schedule) -> list[dict[str, Any]]:
        return shown_schedules([_report(row)], job_url=self._job_url, edit_url=lambda _row: "")

    def _job_url(self, job_id: Any) -> str:
        if not self.admin_site.is_registered(Job):
            return ""
        name = "admin:pleme_redis_django_job_change"
        return reverse(name, args=[job_id], current_app=self.admin_site.name)


def _is_made_here(row: Schedule | None) -> bool:
    return row is None or row.source == ScheduleSource.ADMIN


def _report(row: Any) -> ScheduleReport:
    """Return the report of a row that a page shows, which several fields ask for."""
    report: ScheduleReport | None = getattr(row, "_pleme_report", None)
    if report is None:
        (report,) = schedule_reports([row])
        row._pleme_report = report
    return report
