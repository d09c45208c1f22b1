"""FAILED jobs grouped by cause over a span of time, without a look at the finished history.

Read are the newest rows of the index of failed and cancelled jobs, by id, up to a limit: the answer
says when it was reached. A job that is retried or deleted leaves its group.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Max, Min, QuerySet, TextField
from django.db.models.functions import Cast, Left, Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.dashboard.figures import FailureGroup
from pleme_redis_django.dashboard.redaction import is_redacting, redact_job
from pleme_redis_django.dashboard.scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.jobs.job import JobStatus
from pleme_redis_django.models import AbstractJob, Job

FAILURE_SPANS = {
    "1h": timedelta(hours=1),
    "3h": timedelta(hours=3),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}
READ_LIMIT = 20_000
GROUPS_LIMIT = 100
MESSAGE_CHARACTERS = 200
_SAMPLE_FIELDS = ("id", "product", "queue_name", "job_type", "error_details")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroups:
    """The most frequent causes first."""

    groups: tuple[FailureGroup, ...]
    is_capped: bool
    """Whether there were more rows than ``read_limit``: older failures are not counted."""


def failure_groups(
    scope: ProductScope = EVERY_PRODUCT,
    span: str = "24h",
    *,
    model: type[AbstractJob] = Job,
    using: str | None = None,
    limit: int = GROUPS_LIMIT,
    read_limit: int = READ_LIMIT,
) -> FailureGroups:
    """Return the causes of what failed within a span of ``FAILURE_SPANS``; three queries at most."""
    rows = model._base_manager.using(using or get_settings().database)
    last_unread = _last_unread(rows, read_limit)
    read = rows if last_unread is None else rows.filter(id__gt=last_unread)
    failed = failed_within(scope.narrow(read), span)
    counted = list(
        failed.order_by()
        .values_list("error_fingerprint", "job_type")
        .annotate(
            jobs=Count("*"),
            last=Max("failed_at"),
            first=Min("failed_at"),
            # PostgreSQL knows no greatest UUID; as text they sort alike.
            newest=Max(Cast("id", TextField())),
        )
        .order_by("-jobs", "-last")[:limit]
    )
    samples = _samples(rows, [UUID(newest_id) for *_rest, newest_id in counted])
    return FailureGroups(
        groups=tuple(
            FailureGroup(
                fingerprint=fingerprint,
                job_type=job_type,
                count=jobs,
                last_at=last,
                first_at=first,
                **samples[UUID(newest_id)],
            )
            for fingerprint, job_type, jobs, last, first, newest_id in counted
            if UUID(newest_id) in samples
        ),
        is_capped=last_unread is not None,
    )


def failed_within(rows: QuerySet[Any], span: str) -> QuerySet[Any]:
    """Return those of the jobs that are FAILED, and failed within the span. Raises KeyError for another."""
    return rows.filter(status=JobStatus.FAILED, deleted_at=None, failed_at__gte=Now() - FAILURE_SPANS[span])


def _last_unread(rows: QuerySet[Any], read_limit: int) -> UUID | None:
    """Return the newest job that is not read any more, None when all of them are: a look at the index alone."""
    newest = rows.filter(status__in=[JobStatus.FAILED, JobStatus.CANCELLED]).order_by("-id")
    return newest.values_list("id", flat=True)[read_limit : read_limit + 1].first()


def _samples(rows: QuerySet[Any], ids: list[UUID]) -> dict[UUID, dict[str, str]]:
    """Return the error of each of these jobs, redacted; one that was pruned meanwhile has none."""
    found = rows.filter(id__in=ids)
    if is_redacting():
        # Of a text that is cut, a hook may not recognise what it hides.
        found = found.only(*_SAMPLE_FIELDS, "error_message")
    else:
        found = found.only(*_SAMPLE_FIELDS).annotate(
            message_start=Left(F("error_message"), MESSAGE_CHARACTERS)
        )
    return {job.pk: _sample(job) for job in found}


def _sample(job: Any) -> dict[str, str]:
    redact_job(job)
    details = job.error_details if isinstance(job.error_details, dict) else {}
    message = job.error_message if is_redacting() else job.message_start
    return {
        "error_class": str(details.get("exception_class", "")),
        "message": str(message)[:MESSAGE_CHARACTERS],
    }
