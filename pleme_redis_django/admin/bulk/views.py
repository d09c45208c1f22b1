"""BulkActions: an operation on the selected jobs or on all matching: preview, confirmation, batches.

A script drives the batches and shows how far they are; without one, a POST does some and says how
many are left. What is changed is what the filters of the address match, asked again for every batch,
with everything that narrows what the user may see.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import django
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from pleme_redis_django.admin.addresses import AddressedAdmin
from pleme_redis_django.admin.bulk.batches import (
    BATCH_JOBS,
    COUNTED_JOBS,
    LAST_ID,
    Batch,
    Preview,
    preview,
    run_batch,
)
from pleme_redis_django.admin.bulk.operation import Operation
from pleme_redis_django.admin.bulk.selection import (
    SELECT_ACROSS,
    Selection,
    posted_cursor,
    posted_id,
    sealed_cursor,
)
from pleme_redis_django.admin.content_policy import csp_nonce
from pleme_redis_django.admin.display import age, plain, status_badge
from pleme_redis_django.admin.search.timeout import SearchTookTooLong, bounded_time
from pleme_redis_django.admin.untrusted import refuse_nul, whole_number
from pleme_redis_django.conf import get_settings

NO_SCRIPT_BATCHES = 4
"""How many batches a POST does that is not the script's."""
FROM_PAGE = "from_page"


def list_action(operation: Operation) -> Callable[..., Any]:
    description = f"{operation.label} selected %(verbose_name_plural)s"

    @admin.action(permissions=[operation.permission], description=description)
    def ask(model_admin: Any, request: HttpRequest, _queryset: QuerySet[Any]) -> HttpResponse:
        response: HttpResponse = model_admin.list_operation(request, operation)
        return response

    ask.__name__ = f"{operation.name}_selected"
    return ask


class BulkActions(AddressedAdmin):
    """What JobModelAdmin does to many jobs."""

    operations: ClassVar[Mapping[str, Operation]]
    """By their names in addresses."""

    def may(self, request: HttpRequest, operation: Operation) -> bool:
        """Whether the user may do this to jobs of this model."""
        allowed = getattr(self, f"has_{operation.permission}_permission")(request)
        return bool(allowed and self.has_view_permission(request))

    def permitted(self, request: HttpRequest, name: str) -> Operation:
        """Return the operation of an address; raises Http404, and PermissionDenied."""
        operation = self.operations.get(name)
        if operation is None:
            raise Http404
        if not self.may(request, operation):
            raise PermissionDenied
        return operation

    def bulk_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.bulk_view)
        return [path("bulk/<str:name>/", view, name=self.url_name("bulk"))]

    def list_operation(self, request: HttpRequest, operation: Operation) -> HttpResponse:
        """Ask before an operation on all that match, or one that cannot be taken back; else do it."""
        if operation.asks or request.POST.get(SELECT_ACROSS) == "1":
            return self.confirmation(request, operation)
        return self._run_without_script(request, operation, {})

    def bulk_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Do a confirmed operation (POST): one batch for the script, some for a browser without one."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        operation = self.permitted(request, name)
        refuse_nul(request)
        form = _bound(operation, request)
        is_script = request.headers.get("Accept") == "application/json"
        if form is not None and not form.is_valid():
            if is_script:
                errors = [text for texts in form.errors.values() for text in texts]
                return JsonResponse({"error": " ".join(map(str, errors))}, status=400)
            return self.confirmation(request, operation, form=form)
        options = {} if form is None else form.cleaned_data
        try:
            return self._answer(request, operation, options, is_script=is_script)
        except SearchTookTooLong as error:
            if is_script:
                return JsonResponse({"error": str(error)}, status=503)
            self.message_user(request, str(error), messages.ERROR)
            return redirect(self._back_url(request, Selection.of(self, request)))

    def _answer(
        self, request: HttpRequest, operation: Operation, options: Any, *, is_script: bool
    ) -> HttpResponse:
        if is_script:
            batch = self._run(request, operation, options, batches=1)
            cursor = sealed_cursor(request, Selection.of(self, request), batch.cursor)
            answer = {"changed": batch.changed, "cursor": cursor, "is_last": batch.is_last}
            return JsonResponse(answer)
        return self._run_without_script(request, operation, options)

    def confirmation(
        self,
        request: HttpRequest,
        operation: Operation,
        *,
        page_of: Any = None,
        form: Any = None,
        done: Batch | None = None,
    ) -> HttpResponse:
        """Return the page that says what the operation would do, and asks.

        ``page_of``: the job from whose page it was asked for. ``done``: what it has done so far, where
        one POST was not enough.
        """
        with bounded_time(get_settings().database):
            selection = Selection.of(self, request, page_of)
            after = selection.after if done is None else done.cursor
            found = preview(operation, selection.rows.filter(id__gt=after))
        button = " ".join(filter(None, [operation.label, operation.preposition, self._counted(found)]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"{button}?" if found.able else f"{operation.label}: nothing to do",
            "opts": self.opts,
            "media": self.media,
            "csp_nonce": csp_nonce(request),
            "breadcrumbs_are_list": django.VERSION >= (6, 1),
            "operation": operation,
            "preview": found,
            "button": button,
            "skipped": [(f"{jobs:,}", status.lower()) for status, jobs in found.skipped.items()],
            "sample": [_row(job) for job in found.sample],
            "form": form or (operation.form() if operation.form else None),
            "selection": selection,
            "cursor": sealed_cursor(request, selection, after),
            "last_id": request.POST.get("last_id") or found.last_id,
            "done": done,
            "done_note": f"{operation.label}: {done.changed:,} done so far." if done else "",
            "is_scripted": found.able > BATCH_JOBS,
            "no_script_jobs": f"{NO_SCRIPT_BATCHES * BATCH_JOBS:,}",
            "from_page": page_of is not None or request.POST.get(FROM_PAGE),
            "bulk_url": f"{self.page_url('bulk', operation.name)}?{selection.address}",
            "back_url": self._back_url(request, selection, page_of),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "pleme_redis_django/admin/bulk_confirmation.html", context)

    def report(
        self, request: HttpRequest, operation: Operation, options: Any, done: Batch, *, of: int = 0
    ) -> None:
        """Say what was done, and what was left: some of ``of`` selected jobs."""
        if ended := done.changed - done.asked:
            self.message_user(request, f"{operation.sentence(options)}: {ended:,}.", messages.SUCCESS)
        if done.asked:
            note = f"{operation.asked}: {done.asked:,}. A handler that does not look goes on to its end."
            self.message_user(request, note, messages.SUCCESS)
        if (left := of - done.changed) > 0 or not done.changed:
            skipped = f"Not changed: {left:,}. " if left > 0 else ""
            self.message_user(request, f"{skipped}{operation.skips}", messages.WARNING)

    def _counted(self, found: Preview) -> str:
        noun = self.opts.verbose_name if found.able == 1 else self.opts.verbose_name_plural
        more = "+" if found.is_capped and found.able == COUNTED_JOBS else ""
        return f"{found.able:,}{more} {noun}"

    def _run_without_script(self, request: HttpRequest, operation: Operation, options: Any) -> HttpResponse:
        batch = self._run(request, operation, options, batches=NO_SCRIPT_BATCHES)
        done = dataclasses.replace(
            batch, changed=batch.changed + (whole_number(request.POST.get("changed")) or 0)
        )
        if not done.is_last:
            return self.confirmation(request, operation, form=_bound(operation, request), done=done)
        selection = Selection.of(self, request)
        self.report(request, operation, options, done, of=len(selection.ids))
        return redirect(self._back_url(request, selection))

    def _run(self, request: HttpRequest, operation: Operation, options: Any, *, batches: int) -> Batch:
        """Do so many batches, and return them as one."""
        with bounded_time(get_settings().database):
            selection = Selection.of(self, request)
        last_id = posted_id(request, "last_id", LAST_ID)
        # The form's, even if the list would look less far back by now: that is what was previewed.
        cursor, changed = posted_cursor(request, selection), 0
        asked = 0
        for _ in range(batches):
            with bounded_time(get_settings().database):
                batch = run_batch(
                    operation, selection.rows, options, user=request.user, after=cursor, last_id=last_id
                )
            cursor, changed, asked = batch.cursor, changed + batch.changed, asked + batch.asked
            if batch.is_last:
                break
        return dataclasses.replace(batch, changed=changed, asked=asked)

    def _back_url(self, request: HttpRequest, selection: Selection, page_of: Any = None) -> str:
        if (page_of or request.POST.get(FROM_PAGE)) and len(selection.ids) == 1:
            return self.page_url("change", selection.ids[0])
        return f"{self.page_url('changelist')}?{selection.address}"


def _row(job: Any) -> dict[str, Any]:
    return {
        "status": status_badge(job.status),
        "type": plain(job.job_type),
        "queue": plain(job.queue_name),
        "product": plain(job.product),
        "created": age(job.created_at),
    }


def _bound(operation: Operation, request: HttpRequest) -> Any:
    return operation.form(request.POST) if operation.form else None
