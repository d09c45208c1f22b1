"""How many jobs are where."""

from __future__ import annotations

from django.db.models import Count, QuerySet

from pleme_redis_django import AbstractJob, JobStatus


def jobs_by_status(jobs: QuerySet[AbstractJob]) -> dict[str, int]:
    """Return the number of jobs of each status, in the order of a job's life; absent ones are left out."""
    rows = jobs.filter(deleted_at=None).order_by().values_list("status").annotate(Count("id"))
    counted = dict(rows)
    return {status.value: counted[status] for status in JobStatus if status in counted}
