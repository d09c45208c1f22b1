"""JobChangeList: the list of jobs, its tabs, and how far back it has looked."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import timedelta
from typing import Any, Self

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import SuspiciousOperation
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest

from pleme_redis_django.admin.capped_list import CappedChangeList
from pleme_redis_django.admin.display import STATUS_ICONS, moment, without_reordering
from pleme_redis_django.admin.filters import OLDEST_FIRST, ORDER_PARAMETER, created_within
from pleme_redis_django.admin.job_fields import ERROR_CHARACTERS, ERROR_START, make_presentable
from pleme_redis_django.admin.search.conditions import Search, build_search
from pleme_redis_django.admin.search.terms import SearchError, written_terms
from pleme_redis_django.admin.search.window import Window, newest_jobs
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.orm_store.job_table import JobTable, status_condition

STATUS_PARAMETER = "status__exact"
# What the primary key and the indexes of statuses answer among millions.
_INDEXED_PARAMETERS = {STATUS_PARAMETER, "created", ORDER_PARAMETER}
# The partial indexes of these hold nothing that has ended.
_OLDEST_BY = dict.fromkeys(WAITING_STATUSES, "run_after") | {JobStatus.RUNNING: "claimed_at"}
_INDEXED_STATUSES = frozenset(JobStatus) - {JobStatus.COMPLETED}
_SEARCHED = "_pleme_search"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A link to the jobs of one status, with everything else in the address kept."""

    word: str
    icon: str
    url: str
    is_current: bool


class JobChangeList(CappedChangeList):
    """A list of jobs; ``window`` says how far back it has looked, None when through all."""

    model_admin: Any
    window: Window | None
    matching: QuerySet[Any]
    """What the address asks for, however far back."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Return the jobs that the address asks for, as far back as the list looks."""
        rows = super().get_queryset(request, *args, **kwargs)
        search = searched(request, self.model_admin, self.query)
        statuses = self._statuses(search)
        self.matching = rows if statuses is None else rows.filter(status_condition(statuses))
        self.window = None
        looks_at_rows = statuses != frozenset() and self._looks_at_rows(request, search, statuses)
        if looks_at_rows and not self._is_oldest_first(statuses):
            every_job = JobTable(rows.model, rows.db).rows()
            by_id = search.by_id & created_within(self.params.get("created"))
            self.window = newest_jobs(every_job, by_id, statuses)
        shown = self.matching if self.window is None else self.matching.filter(id__gt=self.window.before_id)
        if "error_shown" in self.list_display:
            shown = shown.annotate(**{ERROR_START: Left("error_message", ERROR_CHARACTERS)})
        return shown

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return what comes first: the newest, or of jobs of one live status those that wait or run longest."""
        chosen = self.params.get(STATUS_PARAMETER)
        status = JobStatus(chosen) if chosen in set(_OLDEST_BY) else None
        if status is not None and self._is_oldest_first(frozenset({status})):
            return [_OLDEST_BY[status], "id"]
        return super().get_ordering(request, queryset)

    def _is_oldest_first(self, statuses: frozenset[JobStatus] | None) -> bool:
        """Whether the list begins with what waits or runs longest, which no window of the newest holds."""
        is_asked = self.params.get(ORDER_PARAMETER) == OLDEST_FIRST
        return is_asked and statuses is not None and len(statuses) == 1 and statuses <= set(_OLDEST_BY)

    def get_results(self, request: HttpRequest) -> None:
        """Load the page, its jobs as they may be shown."""
        super().get_results(request)
        for job in self.result_list:
            make_presentable(job)

    @property
    def window_note(self) -> str:
        """How far back the list has looked."""
        assert self.window is not None
        return f"Looked through the newest {self.window.jobs:,} jobs, back to {moment(self.window.since)}."

    @property
    def is_narrowed(self) -> bool:
        """Whether the address asks for some jobs only."""
        return bool(self.query or self.get_filters_params())

    @property
    def bare_words_note(self) -> str:
        """What to write instead, for words without a qualifier: they are looked for in types and ids alone."""
        if all(key for key, _text in written_terms(self.query)):
            return ""
        return (
            "A word alone is the beginning of a type or of an id. To look elsewhere, write error:, queue:, product:, "
            "worker: or param.name: before it."
        )

    @property
    def tabs(self) -> list[Tab]:
        """The statuses as links."""
        chosen = self.params.get(STATUS_PARAMETER)
        every = self.get_query_string(remove=[STATUS_PARAMETER, "p"])
        tabs = [Tab(word="All", icon="", url=every, is_current=chosen is None)]
        for status in JobStatus:
            url = self.get_query_string({STATUS_PARAMETER: status.value}, remove=["p"])
            icon, word = STATUS_ICONS[status], status.capitalize()
            tabs.append(Tab(word=word, icon=icon, url=url, is_current=chosen == status))
        return tabs

    @property
    def earlier_url(self) -> str:
        """The same question about the jobs before those that were looked at."""
        assert self.window is not None
        # A millisecond later than the newest of them: ``before:`` leaves its own time out.
        before = (
            f"before:{(self.window.since + timedelta(milliseconds=1)).isoformat(timespec='milliseconds')}"
        )
        words = [text for key, text in written_terms(self.query) if key != "before"]
        return self.get_query_string({"q": " ".join([*words, before])}, remove=["p"])

    def _statuses(self, search: Search) -> frozenset[JobStatus] | None:
        chosen = self.params.get(STATUS_PARAMETER)
        if chosen is None:
            return search.statuses
        named = frozenset({JobStatus(chosen)} if chosen in set(JobStatus) else ())
        return named if search.statuses is None else named & search.statuses

    def _looks_at_rows(
        self, request: HttpRequest, search: Search, statuses: frozenset[JobStatus] | None
    ) -> bool:
        """Whether some condition has no index, so that every row would be looked at."""
        return (
            bool(search.by_column)
            or bool(self.get_filters_params().keys() - _INDEXED_PARAMETERS)
            or (statuses is not None and not statuses <= _INDEXED_STATUSES)
            or bool(self.model_admin.narrows_rows(request))
        )


class JobMatches(JobChangeList):
    """What an address asks for, without a page of it."""

    @classmethod
    def of(cls, model_admin: Any, request: HttpRequest) -> Self:
        """Return what the address of a request asks for. Raises SuspiciousOperation: nobody may ask so."""
        filters, fields = model_admin.get_list_filter(request), model_admin.get_search_fields(request)
        try:
            return cls(
                request, model_admin.model, (), (), filters, None, fields, (), 1, 1, (), model_admin, (), ""
            )
        except IncorrectLookupParameters as error:
            raise SuspiciousOperation("The filters in this address are not valid.") from error

    @property
    def after(self) -> uuid.UUID:
        """Ids above this one were looked at."""
        return uuid.UUID(int=0) if self.window is None else self.window.before_id

    def get_results(self, request: HttpRequest) -> None:
        """Load nothing."""


def searched(request: HttpRequest, model_admin: Any, text: str) -> Search:
    """Return what a search means; one that means nothing finds nothing, and the page says why."""
    known: tuple[str, Search] | None = getattr(request, _SEARCHED, None)
    if known is None or known[0] != text:
        known = (text, _built(request, model_admin, text))
        setattr(request, _SEARCHED, known)
    return known[1]


def _built(request: HttpRequest, model_admin: Any, text: str) -> Search:
    try:
        return build_search(text)
    except SearchError as error:
        model_admin.message_user(request, without_reordering(str(error)), messages.ERROR)
        return Search(statuses=frozenset())
