"""The actions on the dashboard: pause, resume, drain, retry a group of failures, release a lock by force.

POST only, each behind its permission and within the user's products; each leaves a LogEntry.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.http import urlencode

from pleme_redis_django.access.product_scope import scope_of_request
from pleme_redis_django.admin.bulk.batches import FIRST_ID, Batch, run_batch
from pleme_redis_django.admin.bulk.operations import OPERATIONS
from pleme_redis_django.admin.dashboard.action_view import action_view, log_action, posted_reason
from pleme_redis_django.admin.dashboard.frame import DashboardFrame
from pleme_redis_django.admin.search.timeout import bounded_time
from pleme_redis_django.admin.untrusted import whole_number
from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidName, RedisUnavailable
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name
from pleme_redis_django.models import Dashboard, WorkerProcess
from pleme_redis_django.monitoring.failure_groups import failed_within
from pleme_redis_django.monitoring.spans import FAILURE_SPANS
from pleme_redis_django.operations.endings import retryable_jobs
from pleme_redis_django.operations.pauses import pause_queue, paused_queues, resume_queue
from pleme_redis_django.operations.workers import drain_worker
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.products import validate_product

if TYPE_CHECKING:
    from pleme_redis_django.redis_state.locks.held import HeldLock

_DIGEST = re.compile(r"[0-9a-f]{8,64}")
SAMPLE_JOBS = 10
# 5,000 jobs a request: a larger group takes another click, not a request without an end.
RETRIED_BATCHES = 10
COUNT_CAP = 100_000
GROUP_FIELDS = ("fingerprint", "job_type", "span", "product")


class DashboardActions(DashboardFrame):
    """The POST views of the dashboard."""

    # Queues

    @action_view("pause")
    def pause_view(self, request: HttpRequest) -> HttpResponse:
        """Pause a queue of one product, or of every product, with a reason."""
        product, queue = self._posted_queue(request)
        reason = posted_reason(request)
        user = request.user.get_username()
        if pause_queue(queue, product=product or None, model=self.job_model, reason=reason, paused_by=user):
            log_action(request, self._pause_row(product, queue), f"Paused: {reason}")
            self.message_user(request, f"{_queue_title(product, queue)} is paused.", messages.SUCCESS)
        else:
            self.message_user(
                request, f"{_queue_title(product, queue)} was already paused.", messages.WARNING
            )
        return self._to_queue(request, queue)

    @action_view("pause")
    def resume_view(self, request: HttpRequest) -> HttpResponse:
        product, queue = self._posted_queue(request)
        pause = self._pause_row(product, queue)
        if resume_queue(queue, product=product or None, model=self.job_model):
            log_action(request, pause, "Resumed.")
            self.message_user(request, f"{_queue_title(product, queue)} is resumed.", messages.SUCCESS)
        else:
            self.message_user(request, f"{_queue_title(product, queue)} was not paused.", messages.WARNING)
        return self._to_queue(request, queue)

    def _posted_queue(self, request: HttpRequest) -> tuple[str, str]:
        """Return product ("" for every one) and queue of the form, if they are the user's to touch."""
        product, queue = request.POST.get("product", ""), request.POST.get("queue", "")
        try:
            validate_queue_name(queue)
            if product:
                validate_product(product)
        except InvalidName as error:
            raise Http404(str(error)) from error
        scope = scope_of_request(request)
        if not (scope.allows(product) if product else scope.products is None):
            raise PermissionDenied
        return product, queue

    def _pause_row(self, product: str, queue: str) -> Any:
        pauses = paused_queues(model=self.job_model)
        return next((each for each in pauses if (each.product, each.queue_name) == (product, queue)), None)

    def _to_queue(self, request: HttpRequest, queue: str) -> HttpResponse:
        # The page of the product from which it was done: the pause itself may be of every product.
        shown = request.POST.get("shown") or request.POST.get("product", "")
        try:
            return redirect(self.page_url("queue", validate_product(shown), queue))
        except InvalidName:
            return redirect(self.page_url("queues"))

    def may_pause_everywhere(self, request: HttpRequest) -> bool:
        """Whether the user may pause a queue for every product: only who may see them all."""
        return self.may(request, "pause") and scope_of_request(request).products is None

    # Workers

    @action_view("drain")
    def drain_view(self, request: HttpRequest, worker_id: UUID) -> HttpResponse:
        workers = WorkerProcess._base_manager.using(get_settings().database)
        worker = workers.filter(pk=worker_id).first()
        if worker is None:
            raise Http404
        if not self.may_drain(request, worker.product):
            raise PermissionDenied
        if drain_worker(worker.pk):
            log_action(request, worker, "Asked to drain.")
            self.message_user(
                request,
                f"{worker} claims no more jobs and exits when its running jobs have ended.",
                messages.SUCCESS,
            )
        else:
            self.message_user(request, f"{worker} is dead or already draining.", messages.WARNING)
        return redirect(self.page_url("workers"))

    def may_drain(self, request: HttpRequest, product: str) -> bool:
        """Whether the user may drain a worker of ``product``; one of every product serves others too."""
        products = scope_of_request(request).products
        return self.may(request, "drain") and (products is None or product in products)

    # Failures

    @action_view("retry")
    def retry_group_view(self, request: HttpRequest) -> HttpResponse:
        """Show how many jobs of a group would be retried; with ``confirmed``, retry them."""
        span = request.POST.get("span", "")
        if span not in FAILURE_SPANS or any(name not in request.POST for name in GROUP_FIELDS):
            raise Http404
        rows = retryable_jobs(self._group(request, span))
        if not request.POST.get("confirmed"):
            return self._confirm_retry(request, rows)
        with bounded_time(get_settings().database):
            batch = _retry_some(request, rows)
        if not batch.is_last:
            self.message_user(request, f"{batch.changed:,} are ready to run again. Continue for the rest.")
            return self._confirm_retry(request, rows)
        self._report_retry(request, batch.changed)
        return redirect(self._errors_url(request))

    def _report_retry(self, request: HttpRequest, retried: int) -> None:
        if not retried:
            self.message_user(request, "No job of this group could be retried.", messages.WARNING)
            return
        jobs = f"{retried:,} job{'s are' if retried > 1 else ' is'} ready to run again"
        if (jobs_url := self._url_of_jobs("changelist")) == "":
            self.message_user(request, f"{jobs}.", messages.SUCCESS)
            return
        # Exact, since a type may be the beginning of another one.
        query = {"type": request.POST["job_type"], "product": request.POST.get("product", "")}
        address = f"{jobs_url}?{urlencode({name: value for name, value in query.items() if value})}"
        self.message_user(
            request, format_html('{}: <a href="{}">watch them</a>.', jobs, address), messages.SUCCESS
        )

    def _errors_url(self, request: HttpRequest) -> str:
        query = {"span": request.POST["span"], "product": request.POST.get("product", "")}
        named = urlencode({name: value for name, value in query.items() if value})
        return f"{self.page_url('errors')}?{named}"

    def _group(self, request: HttpRequest, span: str) -> QuerySet[Any]:
        failed = failed_within(JobTable(self.job_model, get_settings().database), span)
        scope = self.chosen_scope(request, request.POST.get("product"))
        return scope.narrow(failed).filter(
            error_fingerprint=request.POST.get("fingerprint", ""), job_type=request.POST.get("job_type", "")
        )

    def _confirm_retry(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
        """Show how many jobs of a group would be retried, and some of them."""
        sample = rows.order_by("-id").only("id", "failed_at")[:SAMPLE_JOBS]
        context = {
            "able": rows.order_by()[:COUNT_CAP].count(),
            "sample": [
                {"id": job.pk, "failed_at": job.failed_at, "url": self.job_url(job.pk)} for job in sample
            ],
            "job_type": request.POST["job_type"],
            "back_url": self._errors_url(request),
            "product": request.POST.get("product", ""),
            "posted": {name: request.POST.get(name, "") for name in GROUP_FIELDS},
        }
        return self.render(request, "errors", context, template="retry_group", title="Retry a group")

    # Locks

    @action_view("release")
    def release_view(self, request: HttpRequest) -> HttpResponse:
        """Take a lock away from the holder that the page showed, and from no later one."""
        product, digest = request.POST.get("product", ""), request.POST.get("digest", "")
        if not scope_of_request(request).allows(product):
            raise PermissionDenied
        # The digest becomes a part of a key: only a digest may pass.
        fence = whole_number(request.POST.get("fence"))
        if not _DIGEST.fullmatch(digest) or fence is None:
            raise Http404
        reason = posted_reason(request)
        # Not at the top: an admin of jobs alone imports no redis.
        from pleme_redis_django.redis_state.locks.held import force_release

        try:
            taken = force_release(
                validate_product(product), digest, by=request.user.get_username(), reason=reason, fence=fence
            )
        except InvalidName as error:
            raise Http404(str(error)) from error
        except RedisUnavailable as outage:
            self.message_user(request, f"Nothing was released: {outage}", messages.ERROR)
        else:
            self._report_release(request, taken, reason)
        return redirect(f"{self.page_url('realtime')}?product={product}")

    def _report_release(self, request: HttpRequest, taken: HeldLock | None, reason: str) -> None:
        if taken is None:
            self.message_user(request, "That holder no longer has the lock.", messages.WARNING)
            return
        LogEntry.objects.create(
            user_id=request.user.pk,  # type: ignore[misc]  # a page of the admin has a user
            content_type=ContentType.objects.get_for_model(Dashboard),
            object_id=taken.digest,
            object_repr=f"lock {taken.name} of {taken.product}"[:200],
            action_flag=CHANGE,
            change_message=f"Taken from {taken.owner or 'its holder'}: {reason}",
        )
        self.message_user(request, f"The lock {taken.name} is free.", messages.SUCCESS)


def _retry_some(request: HttpRequest, rows: QuerySet[Any]) -> Batch:
    """Retry the first jobs of a group, as many as one request may take; one that fails at once is not met twice."""
    changed, after = 0, FIRST_ID
    for _ in range(RETRIED_BATCHES):
        batch = run_batch(OPERATIONS["retry"], rows, {}, user=request.user, after=after)
        changed, after = changed + batch.changed, batch.cursor
        if batch.is_last:
            break
    return dataclasses.replace(batch, changed=changed)


def _queue_title(product: str, queue: str) -> str:
    return f"Queue {queue} of {product or 'every product'}"
