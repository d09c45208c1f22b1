"""JobFields: the columns of a job list and the fields of a job's page, each a read-only method."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from pleme_redis_django.access.redaction import fields_of_project, redact_job
from pleme_redis_django.admin.attempts import attempts_block
from pleme_redis_django.admin.display import (
    age,
    between,
    json_text,
    plain,
    status_badge,
    text_block,
    without_reordering,
)
from pleme_redis_django.conf import get_settings
from pleme_redis_django.models import AbstractJob, JobAttempt, model_label
from pleme_redis_django.templatetags.pleme_dashboard import type_name

_DATA_FIELDS = ("parameters", "results", "configuration", "metadata")
LONG_FIELDS = (*_DATA_FIELDS, "error_details", "error_message")
"""What may be long: left out of lists, cut on pages, offered whole as a file."""
ERROR_START = "_error_start"
ERROR_CHARACTERS = 160


def _field(description: str, show: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a read-only field that shows something of a job."""

    @admin.display(description=description)
    def field(_admin: Any, job: Any) -> Any:
        return show(job)

    return field


def _long_field(name: str) -> Callable[[Any, Any], Any]:
    """Return a read-only field that shows a long one, cut, with a link to all of it."""

    @admin.display(description=name.replace("_", " "))
    def field(shown_by: Any, job: Any) -> Any:
        return text_block(long_text(job, name), whole_url=shown_by.page_url("part", str(job.pk), name))

    return field


def long_text(job: AbstractJob, name: str) -> str:
    """Return a long field as text: JSON with sorted keys, a message as it is."""
    value = getattr(job, name)
    return value if isinstance(value, str) and name == "error_message" else json_text(value)


def make_presentable(job: AbstractJob) -> None:
    """Redact a job that is shown and never saved, and make the direction marks in its name visible."""
    redact_job(job)
    job.job_type = without_reordering(job.job_type)


class JobFields:
    """What JobModelAdmin shows of a job; which fields, and in what groups."""

    opts: Any
    model: Any
    admin_site: Any

    status_shown = _field("status", lambda job: status_badge(job.status))
    type_shown = _field("type", lambda job: type_name(job.job_type))
    queue_shown = _field("queue", lambda job: plain(job.queue_name))
    product_shown = _field("product", lambda job: plain(job.product))
    retries_shown = _field("retries", lambda job: f"{job.retry_count} of {job.max_retries}")
    error_shown = _field("error", lambda job: plain(job.__dict__.get(ERROR_START) or ""))
    age_shown = _field("created", lambda job: age(job.created_at))
    due_shown = _field("due", lambda job: age(job.run_after))
    failed_shown = _field("failed", lambda job: age(job.failed_at))
    running_shown = _field(
        "running for", lambda job: between(job.started_at or job.claimed_at, timezone.now())
    )

    parameters_shown = _long_field("parameters")
    results_shown = _long_field("results")
    configuration_shown = _long_field("configuration")
    metadata_shown = _long_field("metadata")
    error_message_shown = _long_field("error_message")
    error_details_shown = _long_field("error_details")

    @admin.display(description="failed attempts")
    def attempts_shown(self, job: Any) -> Any:
        """Return the newest failed attempts, with a link to all of them."""
        return attempts_block(job, get_settings().database, all_url=self._attempts_url(job))

    def _attempts_url(self, job: Any) -> str:
        if not self.admin_site.is_registered(JobAttempt):
            return ""
        name = "admin:pleme_redis_django_jobattempt_changelist"
        query = urlencode({"job_model": model_label(job), "job_id": job.pk})
        return f"{reverse(name, current_app=self.admin_site.name)}?{query}"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the groups of fields in which this job has something to show."""
        data = [f"{name}_shown" for name in _DATA_FIELDS if name == "parameters" or getattr(obj, name, None)]
        failed = bool(obj and obj.error_message)
        groups: list[tuple[str, Iterable[Any]]] = [
            ("Failure", ("error_message_shown", "error_details_shown") if failed else ()),
            (f"Of this {self.opts.verbose_name}", fields_of_project(self.model)),
            ("Data", data),
            ("Failed attempts", ("attempts_shown",) if obj and obj.attempt else ()),
        ]
        return [(title, {"fields": names}) for title, group in groups if (names := tuple(group))]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return flatten_fieldsets(self.get_fieldsets(request, obj))
