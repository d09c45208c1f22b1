"""JobModelAdmin: the admin of a job model, the package's or a project's own.

Rows are read-only: what changes them are the operations, each behind its permission, each with a
LogEntry. Every page makes the same number of queries however many jobs there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected as stock_delete_selected
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse

from pleme_redis_django.admin.capped_list import AnyModelAdmin, CappedPaginator
from pleme_redis_django.admin.filters import (
    AttemptsFilter,
    CreatedFilter,
    FinishedFilter,
    ProductFilter,
    QueueFilter,
    TypeFilter,
    WorkerFilter,
)
from pleme_redis_django.admin.job_fields import LONG_FIELDS, JobFields, long_text
from pleme_redis_django.admin.job_list import STATUS_PARAMETER, JobChangeList, searched
from pleme_redis_django.admin.redaction import redact_job
from pleme_redis_django.conf import get_settings
from pleme_redis_django.dashboard.scope import scope_of
from pleme_redis_django.operations import RETRYABLE_STATUSES, delete_jobs, retry_jobs, retryable_jobs

RETRY_BATCH = 1_000
# The confirmation page carries an input for each row, and Django accepts 1,000 inputs a request.
DELETE_LIMIT = 500
_DELETE_PREVIEW = 20


class JobModelAdmin(JobFields, AnyModelAdmin):
    """Register your own job model with it: ``admin.site.register(EmailJob, JobModelAdmin)``.

    Fields that the model adds to AbstractJob are shown on the job's page. "Retry" needs the
    permission ``retry_<model>``, "delete" (which marks the row) ``delete_<model>``.
    """

    list_display = (
        "status_shown",
        "type_shown",
        "queue_shown",
        "product_shown",
        "retries_shown",
        "age_shown",
    )
    list_display_links = ("type_shown",)
    list_filter = (
        QueueFilter,
        TypeFilter,
        ProductFilter,
        CreatedFilter,
        FinishedFilter,
        AttemptsFilter,
        WorkerFilter,
    )
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("id", "job_type")
    search_help_text = (
        "The beginning of a type or of an id, or id: type: queue: product: status: worker: error: param.name: "
        "before: after: with a value, such as  type:shop.* param.order_id:42 after:2h"
    )
    actions = ("retry_selected", "delete_selected")
    change_list_template = "pleme_redis_django/admin/job_change_list.html"
    change_form_template = "pleme_redis_django/admin/job_change_form.html"
    heavy_fields: Sequence[str] = (*LONG_FIELDS, "progress")
    """What a list does not load."""

    class Media:
        css = {"all": ("pleme_redis_django/admin.css",)}

    # Who may do what

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether the user may retry jobs of this model."""
        return request.user.has_perm(f"{self.opts.app_label}.retry_{self.opts.model_name}")

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the jobs that the user sees and acts on: not deleted, and of the user's products."""
        rows: QuerySet[Any] = self.model._default_manager.using(get_settings().database)
        return scope_of(request.user).narrow(rows.filter(deleted_at=None))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return a job as it may be shown: redacted, and never to be saved."""
        job = super().get_object(request, object_id, from_field)
        if job is not None:
            redact_job(job)
        return job

    def narrows_rows(self, request: HttpRequest) -> bool:
        """Whether ``get_queryset`` narrows the jobs by what has no index."""
        is_own = type(self).get_queryset is not JobModelAdmin.get_queryset
        return is_own or scope_of(request.user).products is not None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobChangeList]:
        return JobChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether an address may filter by this: only by what is offered, since a lookup could read all else."""
        offered = {_filtered_name(each) for each in self.get_list_filter(request)}
        return lookup == STATUS_PARAMETER or lookup in offered or lookup.split("__")[0] in offered

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset.filter(searched(request, self, search_term).condition), False

    # Operations

    @admin.action(permissions=["retry"], description="Retry selected %(verbose_name_plural)s")
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        retried = self._retry(request, queryset)
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        left = 0 if request.POST.get("select_across") == "1" else len(chosen) - retried
        self._report_retry(request, retried, left)

    @admin.action(permissions=["delete"], description="Delete selected %(verbose_name_plural)s")
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Ask, and delete, as every admin does; refuse more than a confirmation can carry."""
        if queryset.order_by()[: DELETE_LIMIT + 1].count() > DELETE_LIMIT:
            self.message_user(
                request,
                f"These are more than {DELETE_LIMIT} {self.opts.verbose_name_plural}. Choose fewer, or call "
                "pleme_redis_django.operations.delete_jobs(queryset).",
                messages.ERROR,
            )
            return None
        return stock_delete_selected(self, request, queryset)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_jobs(self.get_queryset(request).filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        delete_jobs(queryset)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what the confirmation page lists: no row of another table goes with a job."""
        shown = [str(job) for job in objs[:_DELETE_PREVIEW]]
        more = len(objs) - len(shown)
        lines = [*shown, f"and {more} more"] if more else shown
        lacking = set() if self.has_delete_permission(request) else {self.opts.verbose_name}
        return lines, {self.opts.verbose_name_plural: len(objs)}, lacking, []

    def _retry(self, request: HttpRequest, queryset: QuerySet[Any]) -> int:
        """Retry the jobs in batches, in the order of ids; one that fails again at once is not met twice."""
        rows = retryable_jobs(queryset).order_by("id").only("id", "job_type")
        total, last = 0, None
        while True:
            with transaction.atomic(using=rows.db):
                after = rows if last is None else rows.filter(id__gt=last)
                batch = list(after.select_for_update()[:RETRY_BATCH])
                if not batch:
                    return total
                same = self.model._base_manager.using(rows.db).filter(pk__in=[job.pk for job in batch])
                total += retry_jobs(same)
            LogEntry.objects.log_actions(request.user.pk, batch, CHANGE, "Retried.")  # type: ignore[arg-type]  # a list of rows does
            last = batch[-1].pk

    def _report_retry(self, request: HttpRequest, retried: int, left: int) -> None:
        if retried:
            self.message_user(request, f"Retried: {retried:,}. They are ready to run.", messages.SUCCESS)
        if left > 0 or not retried:
            skipped = f"Left as they are: {left:,}. " if left > 0 else ""
            self.message_user(
                request, f"{skipped}Only failed and cancelled jobs can be retried.", messages.WARNING
            )

    # Pages

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/retry/", view(self.retry_view), name=self._url_name("retry")),
            path("<path:object_id>/part/<str:name>/", view(self.part_view), name=self._url_name("part")),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        retry_url = self.page_url("retry", object_id) if self.has_retry_permission(request) else ""
        context = {"retry_url": retry_url, "retryable_statuses": RETRYABLE_STATUSES, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def retry_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Retry one job (POST), and show it again."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_retry_permission(request):
            raise PermissionDenied
        job = self._job_or_404(request, object_id)
        retried = self._retry(request, self.get_queryset(request).filter(pk=job.pk))
        self._report_retry(request, retried, left=0)
        return redirect(self.page_url("change", object_id))

    def part_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Return a long field of one job, whole, as a text file."""
        if name not in LONG_FIELDS:
            raise Http404
        job = self._job_or_404(request, object_id)
        response = HttpResponse(long_text(job, name), content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{job.pk}-{name}.txt"'
        response["X-Content-Type-Options"] = "nosniff"
        return response

    def _job_or_404(self, request: HttpRequest, object_id: str) -> Any:
        job = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        if job is None:
            raise Http404
        return job

    def _url_name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def page_url(self, page: str, *arguments: str) -> str:
        return reverse(f"admin:{self._url_name(page)}", args=arguments, current_app=self.admin_site.name)


def _filtered_name(list_filter: Any) -> str:
    """Return the parameter or the field of one item of ``list_filter``."""
    if isinstance(list_filter, str):
        return list_filter
    return str(list_filter[0] if isinstance(list_filter, tuple | list) else list_filter.parameter_name)
