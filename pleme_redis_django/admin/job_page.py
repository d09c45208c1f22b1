"""JobPage: the page of one job, what it polls, its files, and the buttons that change the job."""

from __future__ import annotations

from typing import Any

import django
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.cache import get_conditional_response
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from pleme_redis_django.access.product_scope import scope_of
from pleme_redis_django.access.redaction import redact_job
from pleme_redis_django.admin.attempts import attempts_of
from pleme_redis_django.admin.bulk.batches import run_batch
from pleme_redis_django.admin.bulk.views import BulkActions
from pleme_redis_django.admin.content_policy import csp_nonce
from pleme_redis_django.admin.display import age, badge, moment, plain, progress_bar, status_badge
from pleme_redis_django.admin.job_facts import bounds_facts, retention_facts
from pleme_redis_django.admin.job_fields import LONG_FIELDS, long_text
from pleme_redis_django.admin.job_state import STATE_FIELDS, digest, job_state, poll_seconds
from pleme_redis_django.admin.timeline import timeline
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.models import Job, Schedule, WorkerProcess
from pleme_redis_django.models.schedule import TickOutcome
from pleme_redis_django.monitoring.schedules import tick_of_job
from pleme_redis_django.monitoring.why_waiting import WaitReason, why_waiting
from pleme_redis_django.orm_store.flow.gates import is_line

# Since 6.1 the tools of an object are beside its title, outside of the block that this page replaces.
_TOOLS_ARE_INSIDE = django.VERSION < (6, 1)


class JobPage(BulkActions):
    """What JobModelAdmin shows and does on the page of one job."""

    change_form_template = "pleme_redis_django/admin/job_change_form.html"

    def page_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path(
                "<path:object_id>/operation/<str:name>/",
                view(self.operation_view),
                name=self.url_name("operation"),
            ),
            path("<path:object_id>/state/", view(self.state_view), name=self.url_name("state")),
            path("<path:object_id>/part/<str:name>/", view(self.part_view), name=self.url_name("part")),
        ]

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= self._page_context(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def state_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return what the open page asks for again and again; 304 when nothing has changed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        job = self._job(request, object_id, *STATE_FIELDS)
        redact_job(job)
        state = job_state(job, [reason.code for reason in self._wait_reasons(request, job)])
        etag = f'"{digest(state)}"'
        response = JsonResponse(state, headers={"ETag": etag})
        return get_conditional_response(request, etag=etag, response=response) or response

    def operation_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Do what a button says (POST), or ask first, and show the job again."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        operation = self.permitted(request, name)
        job = self._job(request, object_id, "id")
        if operation.asks:
            return self.confirmation(request, operation, page_of=job)
        rows = self.get_queryset(request).filter(pk=job.pk)
        done = run_batch(operation, rows, {}, user=request.user)
        self.report(request, operation, {}, done)
        return redirect(self.page_url("change", object_id))

    def part_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Return a long field of one job, whole, as a text file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        job = self.get_object(request, unquote(object_id))
        if job is None or name not in LONG_FIELDS:
            raise Http404
        response = HttpResponse(long_text(job, name), content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{job.pk}-{name}.txt"'
        response["X-Content-Type-Options"] = "nosniff"
        return response

    def _page_context(self, request: HttpRequest, job: Any) -> dict[str, Any]:
        attempts = attempts_of(job, job._state.db)
        reasons = self._wait_reasons(request, job)
        return {
            # One heading, since the second one of the stock page repeats the id below.
            "title": f"{capfirst(self.opts.verbose_name)} {job.job_type}",
            "subtitle": None,
            "badge": job_badge(job),
            "operations": [
                (operation, self.page_url("operation", str(job.pk), operation.name))
                for operation in self.operations.values()
                if job.status in operation.statuses
                and not (operation.asked and _is_asked(job))
                and not (operation.in_order_only and not _is_head(job))
                and self.may(request, operation)
            ],
            "wait_reasons": [
                {
                    "text": plain(reason.text),
                    "since": age(reason.since) if reason.since else "",
                    "fix": plain(reason.fix),
                    "jobs": [(self.page_url("change", str(job_id)), job_id) for job_id in reason.jobs],
                    "more_jobs": reason.more_jobs,
                }
                for reason in reasons
            ],
            "progress_bar": "" if job.progress is None else progress_bar(job.progress),
            "facts": self._facts(job),
            "timeline": timeline(job, attempts),
            "state_url": self.page_url("state", str(job.pk)),
            "revision": job_state(job, [reason.code for reason in reasons])["revision"],
            "poll_seconds": poll_seconds(job),
            "tools_are_inside": _TOOLS_ARE_INSIDE,
            "breadcrumbs_are_list": not _TOOLS_ARE_INSIDE,
            "csp_nonce": csp_nonce(request),
        }

    def _job(self, request: HttpRequest, object_id: str, *fields: str) -> Any:
        """Return some columns of a job that the user may see, or raise Http404."""
        try:
            key = self.opts.pk.to_python(unquote(object_id))
            return self.get_queryset(request).only(*fields).get(pk=key)
        except (ValidationError, self.model.DoesNotExist):
            raise Http404 from None

    def _wait_reasons(self, request: HttpRequest, job: Any) -> list[WaitReason]:
        if job.status not in WAITING_STATUSES:
            return []
        return why_waiting(job, scope=scope_of(request.user))

    def _facts(self, job: Any) -> list[tuple[str, Any, bool]]:
        """Return what a job is as name, value and whether the value is long."""
        return [
            ("Type", self._jobs_link("type", job.job_type), False),
            ("Queue", self._jobs_link("queue", job.queue_name), False),
            ("Product", self._jobs_link("product", job.product), False),
            ("Priority", job.priority, False),
            ("Attempts", job.attempt, False),
            ("Retries", f"{job.retry_count} of {job.max_retries}", False),
            *_flow_facts(job),
            *bounds_facts(job),
            *retention_facts(job),
            ("Id", job.pk, True),
            ("Last worker", self._worker_link(job.worker_id), True),
            *self._schedule_facts(job),
        ]

    def _schedule_facts(self, job: Any) -> list[tuple[str, Any, bool]]:
        """Return which tick of which schedule made the job; of most jobs none did, and nothing is asked."""
        made = tick_of_job(job.pk, using=job._state.db) if job.metadata and self.model is Job else None
        if made is None:
            return []
        name = plain(made.schedule.name)
        if self.admin_site.is_registered(Schedule):
            admin_page = "admin:pleme_redis_django_schedule_change"
            address = reverse(admin_page, args=[made.schedule_id], current_app=self.admin_site.name)
            name = format_html('<a href="{}">{}</a>', address, name)
        what = "run by hand" if made.outcome == TickOutcome.RUN_NOW else "tick of"
        return [("Schedule", format_html("{}, {} {}", name, what, moment(made.tick_at)), True)]

    def _worker_link(self, worker_id: Any) -> SafeString | str:
        """Return the process of the last claim as a link to its record, which is kept for a day."""
        if worker_id is None or not self.admin_site.is_registered(WorkerProcess):
            return worker_id or "-"
        name = "admin:pleme_redis_django_workerprocess_change"
        address = reverse(name, args=[worker_id], current_app=self.admin_site.name)
        return format_html('<a href="{}">{}</a>', address, worker_id)

    def _jobs_link(self, parameter: str, value: str) -> SafeString:
        """Return a value as a link to the jobs that have it too."""
        address = f"{self.page_url('changelist')}?{urlencode({parameter: value})}"
        return format_html('<a href="{}">{}</a>', address, plain(value))


def job_badge(job: Any) -> SafeString:
    """Return the status of a job; of a running one also that it was asked to end."""
    return badge("▶", "Running, asked to end", "running") if _is_asked(job) else status_badge(job.status)


def _flow_facts(job: Any) -> list[tuple[str, Any, bool]]:
    """Return the keys under which limits count the job; most jobs have none."""
    facts: list[tuple[str, Any, bool]] = []
    if job.concurrency_key is not None:
        facts.append(("Limited as", plain(job.concurrency_key), False))
    if job.order_key is not None:
        facts.append(("In order with", plain(job.order_key), False))
    if job.cost != 1:
        facts.append(("Cost", job.cost, False))
    return facts


def _is_head(job: Any) -> bool:
    """Whether it is the job whose turn it is in an order, if it waits."""
    return job.order_key is not None and not is_line(job.blocked_on or "")


def _is_asked(job: Any) -> bool:
    return bool(job.status == JobStatus.RUNNING and job.cancel_requested_at is not None)
