"""The admins of what the engine records beside the jobs: failed attempts and worker processes."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pleme_redis_django.access.product_scope import scope_of_request
from pleme_redis_django.access.redaction import is_redacting, redact_attempts
from pleme_redis_django.admin.capped_list import AnyModelAdmin, CappedChangeList, CappedPaginator
from pleme_redis_django.admin.display import age, badge, plain, text_block
from pleme_redis_django.admin.search.timeout import SearchTookTooLong, bounded_page
from pleme_redis_django.admin.untrusted import refuse_nul
from pleme_redis_django.conf import get_settings
from pleme_redis_django.durations import duration
from pleme_redis_django.models import AbstractJob, JobAttempt, WorkerProcess, model_label
from pleme_redis_django.monitoring.reports import worker_report, workers_with_ages


class ReadOnlyAdmin(AnyModelAdmin):
    """Rows that only the engine writes."""

    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator
    sortable_by = ()
    offered_lookups: frozenset[str] = frozenset()
    """What an address may filter by. Any other lookup would read out what the pages redact, bit by bit."""

    class Media:
        css = {"all": ("pleme_redis_django/admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup in self.offered_lookups

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list; what an address asks for has the time that a search has."""
        refuse_nul(request)
        if not request.GET:
            return super().changelist_view(request, extra_context)
        try:
            return bounded_page(super().changelist_view, request, extra_context)
        except SearchTookTooLong as error:
            self.message_user(request, str(error), messages.ERROR)
            return redirect(reverse("admin:index", current_app=self.admin_site.name))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.using(get_settings().database)
        return rows

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CappedChangeList]:
        return CappedChangeList


class JobAttemptAdmin(ReadOnlyAdmin):
    """Failed attempts of every job model, newest first."""

    list_display = ("job_shown", "attempt", "code_shown", "class_shown", "ended_shown")
    fields = (
        "job_shown",
        "attempt",
        "worker_id",
        "started_at",
        "ended_at",
        "code_shown",
        "class_shown",
        "message_shown",
        "traceback_shown",
    )
    readonly_fields = fields
    list_display_links = ("attempt",)
    offered_lookups = frozenset(
        {"job_id", "job_id__exact", "job_model", "job_model__exact", "worker_id", "worker_id__exact"}
    )
    ordering = ("-id",)
    heavy_fields = ("message", "traceback")
    search_fields = ("job_id",)
    search_help_text = "A job's whole id."

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        field = JobAttempt._meta.get_field("job_id")
        try:
            if not search_term:
                return queryset, False
            # The index begins with the model.
            models = [model_label(model) for model in _job_models()]
            return queryset.filter(job_model__in=models, job_id=field.to_python(search_term)), False
        except Exception:
            return queryset.none(), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return scope_of_request(request).narrow(super().get_queryset(request))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return an attempt as it may be shown: redacted, as that of its job."""
        attempt = super().get_object(request, object_id, from_field)
        if attempt is not None and is_redacting():
            redact_attempts(_job_of(attempt), [attempt])
        return attempt

    @admin.display(description="job")
    def job_shown(self, attempt: JobAttempt) -> SafeString:
        """Return the job's id, a link where its model is in this admin."""
        try:
            model = apps.get_model(attempt.job_model)
        except (LookupError, ValueError):
            return plain(f"{attempt.job_model} {attempt.job_id}")
        if not self.admin_site.is_registered(model):
            return plain(f"{attempt.job_model} {attempt.job_id}")
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        url = reverse(name, args=[attempt.job_id], current_app=self.admin_site.name)
        return format_html('<a href="{}">{} {}</a>', url, model._meta.verbose_name, attempt.job_id)

    @admin.display(description="error code")
    def code_shown(self, attempt: JobAttempt) -> SafeString:
        return plain(attempt.error_code)

    @admin.display(description="error class")
    def class_shown(self, attempt: JobAttempt) -> SafeString:
        return plain(attempt.error_class)

    @admin.display(description="ended")
    def ended_shown(self, attempt: JobAttempt) -> SafeString | str:
        return age(attempt.ended_at)

    @admin.display(description="message")
    def message_shown(self, attempt: JobAttempt) -> SafeString:
        return text_block(attempt.message)

    @admin.display(description="traceback")
    def traceback_shown(self, attempt: JobAttempt) -> SafeString:
        return text_block(attempt.traceback)


def _job_models() -> list[type[AbstractJob]]:
    return [model for model in apps.get_models() if issubclass(model, AbstractJob)]


def _job_of(attempt: JobAttempt) -> AbstractJob | None:
    for model in _job_models():
        if model_label(model) == attempt.job_model:
            return model._base_manager.using(attempt._state.db).filter(pk=attempt.job_id).first()
    return None


_WORKER_COLUMNS = (
    "state_shown",
    "pool",
    "host",
    "pid_shown",
    "queues_shown",
    "product",
    "used_slots",
    "release",
)


class WorkerProcessAdmin(ReadOnlyAdmin):
    """Worker processes; dead ones are kept for a day."""

    list_display = (*_WORKER_COLUMNS, "silence")
    fields = (
        "id",
        *_WORKER_COLUMNS,
        "started_at",
        "heartbeat_at",
        "lease_until",
        "drain_requested_at",
        "draining_since",
        "drain_reason",
        "died_at",
    )
    readonly_fields = fields
    list_display_links = ("pool",)
    ordering = ("-heartbeat_at", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return scope_of_request(request).narrow_with_shared(workers_with_ages(get_settings().database))

    @admin.display(description="state")
    def state_shown(self, worker: Any) -> SafeString:
        if not worker_report(worker).is_alive:
            return badge("✖", "Dead", "failed")
        if worker.is_draining:
            return badge("◷", "Draining", "pending")
        return badge("✔", "Alive", "completed")

    @admin.display(description="pid")
    def pid_shown(self, worker: WorkerProcess) -> str:
        # A text: a project that groups digits would show 30561 as 30,561.
        return str(worker.pid)

    @admin.display(description="queues")
    def queues_shown(self, worker: WorkerProcess) -> SafeString:
        return plain(", ".join(map(str, worker.queues)))

    @admin.display(description="jobs held / slots")
    def used_slots(self, worker: WorkerProcess) -> str:
        return f"{worker.running} / {worker.slots}"

    @admin.display(description="last heartbeat")
    def silence(self, worker: Any) -> str:
        return f"{duration(max(worker.silence.total_seconds(), 0))} ago"
