"""FAILED jobs grouped by cause over a span of time, without a look at the finished history.

Read are the jobs that failed last, through the index of failures by time, up to a limit within the span:
the answer says when it was reached. A job that is retried or deleted leaves its group.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Max, Min, Q, QuerySet, TextField, UUIDField
from django.db.models.functions import Cast, Left, Now

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.access.redaction import is_redacting, redact_job
from pleme_redis_django.conf import get_settings
from pleme_redis_django.models import AbstractJob, Job
from pleme_redis_django.monitoring.figures import FailureGroup
from pleme_redis_django.monitoring.spans import FAILURE_SPANS
from pleme_redis_django.orm_store.job_table import JobTable, M

READ_LIMIT = 20_000
# Of some products alone: failures of the others lie between theirs, so more is looked through.
SCOPED_READ_LIMIT = 100_000
GROUPS_LIMIT = 100
CAUSES_COUNTED = 1_000
MESSAGE_CHARACTERS = 200
_SAMPLE_FIELDS = ("id", "product", "queue_name", "job_type", "error_details")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroups:
    """The most frequent causes first."""

    groups: tuple[FailureGroup, ...]
    cause_count: int
    """How many causes there are; from ``CAUSES_COUNTED`` on, a lower bound."""
    is_capped: bool
    """Whether more jobs failed within the span than were read: those that failed earlier are not counted."""


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
    table = JobTable(model, using or get_settings().database)
    failed = failed_within(table, span)
    if scope.products is not None:
        read_limit = max(read_limit, SCOPED_READ_LIMIT)
    last_unread = _last_unread(failed, read_limit)
    if last_unread is not None:
        failed = failed.filter(_failed_after(*last_unread))
    counted = list(
        scope.narrow(failed)
        .order_by()
        .values_list("error_fingerprint", "job_type")
        .annotate(jobs=Count("*"), last=Max("failed_at"), first=Min("failed_at"))
        .order_by("-jobs", "-last")[:CAUSES_COUNTED]
    )
    samples = _samples(scope.narrow(failed), counted[:limit])
    return FailureGroups(
        groups=tuple(
            FailureGroup(
                fingerprint=fingerprint,
                job_type=job_type,
                count=jobs,
                last_at=last,
                first_at=first,
                **samples[fingerprint, job_type],
            )
            for fingerprint, job_type, jobs, last, first in counted[:limit]
            if (fingerprint, job_type) in samples
        ),
        cause_count=len(counted),
        is_capped=last_unread is not None,
    )


def failed_products(
    span: str, *, model: type[AbstractJob] = Job, using: str | None = None, read_limit: int = READ_LIMIT
) -> set[str]:
    """Return the products whose jobs failed within a span, of those that failed last; one query."""
    table = JobTable(model, using or get_settings().database)
    newest = failed_within(table, span).order_by("-failed_at", "-id").values("pk")[:read_limit]
    return set(table.rows().filter(pk__in=newest).order_by().values_list("product", flat=True).distinct())


def failed_within(table: JobTable[M], span: str) -> QuerySet[M]:
    """Return the jobs that are FAILED, and failed within the span. Raises KeyError for another."""
    return table.failed().filter(failed_at__gte=Now() - FAILURE_SPANS[span].length)


def _last_unread(failed: QuerySet[Any], read_limit: int) -> tuple[datetime, UUID] | None:
    """Return the newest failure that is not read any more, None when all are: a look at the index alone."""
    newest = failed.order_by("-failed_at", "-id").values_list("failed_at", "id")
    return newest[read_limit : read_limit + 1].first()


def _failed_after(failed_at: datetime, job_id: UUID) -> Q:
    return Q(failed_at__gt=failed_at) | Q(failed_at=failed_at, id__gt=job_id)


def _samples(failed: QuerySet[Any], groups: list[Any]) -> dict[tuple[str, str], dict[str, str]]:
    """Return the error of the job of each group that failed last, redacted."""
    newest = failed.order_by().filter(failed_at__in={last for *_rest, last, _first in groups})
    # Jobs that ended together have one time. PostgreSQL knows no greatest UUID; as text they sort alike.
    ids = newest.values("error_fingerprint", "job_type", "failed_at").annotate(
        newest_id=Cast(Max(Cast("id", TextField())), UUIDField())
    )
    found = JobTable(failed.model, failed.db).rows().filter(pk__in=ids.values("newest_id"))
    fields = (*_SAMPLE_FIELDS, "error_fingerprint", "failed_at")
    if is_redacting():
        # In a text that is cut, a hook may not recognise what it hides.
        found = found.only(*fields, "error_message")
    else:
        found = found.only(*fields).annotate(message_start=Left(F("error_message"), MESSAGE_CHARACTERS))
    times = {(fingerprint, job_type): last for fingerprint, job_type, _jobs, last, _first in groups}
    # Another group may have failed at the very time of this one's last: its row is not the newest of its own.
    return {
        key: _sample(job)
        for job in found
        if times.get(key := (job.error_fingerprint, job.job_type)) == job.failed_at
    }


def _sample(job: Any) -> dict[str, str]:
    redact_job(job)
    details = job.error_details if isinstance(job.error_details, dict) else {}
    message = job.error_message if is_redacting() else job.message_start
    return {
        "error_class": str(details.get("exception_class", "")),
        "message": str(message)[:MESSAGE_CHARACTERS],
    }
