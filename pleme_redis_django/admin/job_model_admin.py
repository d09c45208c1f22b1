"""JobModelAdmin: the admin of a job model, the package's or a project's own.

Rows are read-only: what changes them are the operations, each behind its permission, each with a
LogEntry. Every page makes the same number of queries however many jobs there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern

from pleme_redis_django.access.product_scope import scope_of_request
from pleme_redis_django.access.redaction import is_redacting
from pleme_redis_django.admin.bulk.operations import OPERATIONS
from pleme_redis_django.admin.bulk.views import list_action
from pleme_redis_django.admin.capped_list import CappedPaginator
from pleme_redis_django.admin.filters import (
    AttemptsFilter,
    CreatedFilter,
    FinishedFilter,
    GateFilter,
    OrderFilter,
    ProductFilter,
    QueueFilter,
    TypeFilter,
    WorkerFilter,
)
from pleme_redis_django.admin.job_fields import LONG_FIELDS, JobFields, make_presentable
from pleme_redis_django.admin.job_list import STATUS_PARAMETER, JobChangeList, JobMatches, searched
from pleme_redis_django.admin.job_page import JobPage
from pleme_redis_django.admin.search.autocomplete import is_autocomplete, offered_jobs
from pleme_redis_django.admin.search.timeout import SEARCH_SECONDS, SearchTookTooLong, bounded_time
from pleme_redis_django.admin.untrusted import is_offered, refuse_nul
from pleme_redis_django.conf import get_settings
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.operations import delete_jobs

_COLUMNS_OF_STATUS: dict[str, tuple[str, ...]] = {
    JobStatus.PENDING: ("due_shown",),
    JobStatus.BLOCKED: ("due_shown",),
    JobStatus.QUEUED: ("due_shown",),
    JobStatus.RUNNING: ("running_shown",),
    JobStatus.FAILED: ("failed_shown", "error_shown"),
}
_TOOK_TOO_LONG = (
    "The search took longer than {:g} s, and was given up. Narrow it down by a time or a status, such as "
    "after:1h or status:failed."
)


class JobModelAdmin(JobFields, JobPage):
    """Register your own job model with it: ``admin.site.register(EmailJob, JobModelAdmin)``.

    Fields that the model adds to AbstractJob are shown on the job's page. Each operation needs its
    permission: ``retry_<model>``, ``cancel_<model>``, ``reschedule_<model>``, ``delete_<model>``.
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
        GateFilter,
        OrderFilter,
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
    operations = OPERATIONS
    retry_selected = list_action(OPERATIONS["retry"])
    run_now_selected = list_action(OPERATIONS["run_now"])
    reschedule_selected = list_action(OPERATIONS["reschedule"])
    change_priority_selected = list_action(OPERATIONS["change_priority"])
    change_queue_selected = list_action(OPERATIONS["change_queue"])
    skip_selected = list_action(OPERATIONS["skip"])
    cancel_selected = list_action(OPERATIONS["cancel"])
    delete_selected = list_action(OPERATIONS["delete"])
    actions = tuple(f"{name}_selected" for name in OPERATIONS)
    change_list_template = "pleme_redis_django/admin/job_change_list.html"
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
        return self._has(request, "retry")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return self._has(request, "cancel")

    def has_reschedule_permission(self, request: HttpRequest) -> bool:
        return self._has(request, "reschedule")

    def _has(self, request: HttpRequest, permission: str) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.{permission}_{self.opts.model_name}")

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the jobs that the user sees and acts on: not deleted, and of the user's products."""
        rows: QuerySet[Any] = self.model._default_manager.using(get_settings().database)
        return scope_of_request(request).narrow(rows.filter(deleted_at=None))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return a job as it may be shown, and never to be saved: redacted, with its direction marks visible."""
        job = super().get_object(request, object_id, from_field)
        if job is not None:
            make_presentable(job)
        return job

    def narrows_rows(self, request: HttpRequest) -> bool:
        """Whether ``get_queryset`` narrows the jobs by what has no index."""
        is_own = type(self).get_queryset is not JobModelAdmin.get_queryset
        return is_own or scope_of_request(request).products is not None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobChangeList]:
        return JobChangeList

    def matches(self, request: HttpRequest) -> JobMatches:
        """Return the jobs that the address of a request asks for. Raises SuspiciousOperation: nobody may ask so."""
        return JobMatches.of(self, request)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list; of a search that takes too long, say so."""
        refuse_nul(request)
        if (status := request.GET.get("status")) is not None:
            # What a person types; Django's own word for it is the one in its links.
            query = request.GET.copy()
            del query["status"]
            query[STATUS_PARAMETER] = status.upper()
            return redirect(f"{request.path}?{query.urlencode()}")
        if not request.GET.get(SEARCH_VAR):
            return super().changelist_view(request, extra_context)
        try:
            with bounded_time(get_settings().database):
                return super().changelist_view(request, extra_context)
        except SearchTookTooLong:
            others = request.GET.copy()
            del others[SEARCH_VAR]
            self.message_user(request, _TOOK_TOO_LONG.format(SEARCH_SECONDS), messages.ERROR)
            return redirect(f"{self.page_url('changelist')}?{others.urlencode()}")

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the columns, with what is asked first about jobs of the one status that is listed."""
        columns = list(super().get_list_display(request))
        status = request.GET.get(STATUS_PARAMETER, "")
        added = [
            name
            for name in _COLUMNS_OF_STATUS.get(status, ())
            if not (name == "error_shown" and is_redacting())
        ]
        listed = [*columns[:2], *added, *columns[2:]]
        # The tab says it already, and a row has no room to spare.
        return [name for name in listed if not (name == "status_shown" and status in set(JobStatus))]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether an address may filter by this: only by what is offered, since a lookup could read all else."""
        return lookup == STATUS_PARAMETER or is_offered(lookup, self.get_list_filter(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if is_autocomplete(request):
            return offered_jobs(queryset.defer(*self.heavy_fields), search_term), False
        return queryset.filter(searched(request, self, search_term).condition), False

    def get_urls(self) -> list[URLPattern]:
        return [*self.bulk_urls(), *self.page_urls(), *super().get_urls()]

    # The stock page of deletion, where an address leads to it

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_jobs(self.get_queryset(request).filter(pk=obj.pk))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what its page lists: no row of another table goes with a job."""
        lacking = set() if self.has_delete_permission(request) else {self.opts.verbose_name}
        return [str(job) for job in objs], {self.opts.verbose_name_plural: len(objs)}, lacking, []
