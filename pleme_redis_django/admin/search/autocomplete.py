"""What a field that refers to a job offers: the newest that match, looked for no further than a search looks."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from pleme_redis_django.admin.search.conditions import build_search
from pleme_redis_django.admin.search.terms import SearchError
from pleme_redis_django.admin.search.timeout import SearchTookTooLong, bounded_time
from pleme_redis_django.admin.search.window import newest_jobs
from pleme_redis_django.orm_store.job_table import JobTable

OFFERED_JOBS = 100


def is_autocomplete(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and match.url_name == "autocomplete"


def offered_jobs(visible: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Return some of the visible jobs, newest first.

    None for what means nothing or takes too long: such an answer has no place for a message.
    """
    try:
        search = build_search(text)
        with bounded_time(visible.db):
            every_job = JobTable(visible.model, visible.db).rows()
            matching = visible.filter(search.condition)
            window = newest_jobs(every_job, search.by_id, search.statuses)
            if window is not None:
                matching = matching.filter(id__gt=window.before_id)
            found = list(matching.order_by("-id").values_list("pk", flat=True)[:OFFERED_JOBS])
    except (SearchError, SearchTookTooLong):
        found = []
    return visible.filter(pk__in=found).order_by("-id")
