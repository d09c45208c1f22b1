"""What a search of a job list means for the database, and whether that costs a look at many rows.

Only ids (and the times in them) and statuses have an index. Everything else is looked for among the
newest jobs: window.py.
"""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.db.models import JSONField, Q, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform, KeyTransformExact
from django.db.models.lookups import EndsWith, Exact
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from pleme_redis_django.admin.search.terms import SearchError, Term, parse_search
from pleme_redis_django.conf import get_settings
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.middleware.encryption.digests import searched_digests
from pleme_redis_django.middleware.encryption.envelope import MARK
from pleme_redis_django.models import WorkerProcess
from pleme_redis_django.orm_store.job_table import status_condition
from pleme_redis_django.wording import did_you_mean, shortened

ID_DIGITS = 8
"""The fewest digits of an id that are looked for."""
_AGE = re.compile(r"(\d{1,6})([smhd])")
_AGE_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FINGERPRINT = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a job must be to be found."""

    by_id: Q = dataclasses.field(default_factory=Q)
    """What the primary key answers: ids, and times of creation."""
    by_column: Q = dataclasses.field(default_factory=Q)
    """What no index answers."""
    statuses: frozenset[JobStatus] | None = None
    """The only statuses; None: any."""

    @property
    def condition(self) -> Q:
        """All of it."""
        named = Q() if self.statuses is None else status_condition(self.statuses)
        return self.by_id & self.by_column & named


def build_search(text: str) -> Search:
    """Return what a search means. Raises SearchError."""
    search = Search()
    for term in parse_search(text):
        search = _with_term(search, term)
    return search


def first_id(at: datetime) -> uuid.UUID:
    """Return the lowest UUIDv7 (RFC 9562, section 5.7) of a time."""
    milliseconds = max(int(at.timestamp() * 1000), 0)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)


def id_time(job_id: uuid.UUID) -> datetime:
    """Return the time at the beginning of a UUIDv7, to the millisecond; the last one for an id of another kind."""
    try:
        return datetime.fromtimestamp((job_id.int >> 80) / 1000, tz=timezone.get_current_timezone())
    except (ValueError, OverflowError, OSError):  # 48 bits reach to the year 10889
        return datetime.max.replace(tzinfo=UTC)


def _with_term(search: Search, term: Term) -> Search:
    if term.key == "status":
        named = _statuses(term.value)
        return dataclasses.replace(
            search, statuses=named if search.statuses is None else named & search.statuses
        )
    if term.key in _BY_ID or (not term.key and not term.is_quoted and _is_id(term.value)):
        return dataclasses.replace(search, by_id=search.by_id & _BY_ID[term.key or "id"](term))
    return dataclasses.replace(search, by_column=search.by_column & _BY_COLUMN[term.key](term))


def _statuses(value: str) -> frozenset[JobStatus]:
    known = [status.lower() for status in JobStatus]
    for name in value.lower().split(","):
        if name not in known:
            advice = did_you_mean(name, known, otherwise=f"Known: {', '.join(known)}.")
            raise SearchError(f'"{shortened(name)}" is not a status. {advice}')
    return frozenset(JobStatus(name.upper()) for name in value.split(","))


def _is_id(value: str) -> bool:
    digits = value.replace("-", "").lower()
    return ID_DIGITS <= len(digits) <= 32 and all(digit in "0123456789abcdef" for digit in digits)


def _id_range(value: str) -> tuple[uuid.UUID, uuid.UUID]:
    digits = value.replace("-", "").lower()
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))


def _by_job_id(term: Term) -> Q:
    if not _is_id(term.value):
        raise SearchError(
            f'"{shortened(term.value)}" is not the id of a job. '
            f"Accepted: at least {ID_DIGITS} of its 32 hexadecimal digits."
        )
    return Q(id__range=_id_range(term.value))


def _before(term: Term) -> Q:
    return Q(id__lt=first_id(_moment(term)))


def _after(term: Term) -> Q:
    return Q(id__gte=first_id(_moment(term)))


def _moment(term: Term) -> datetime:
    """Return a time, a date's midnight, or so many seconds, minutes, hours or days ago."""
    try:
        if age := _AGE.fullmatch(term.value):
            return timezone.now() - timedelta(**{_AGE_UNITS[age[2]]: int(age[1])})
        day = parse_date(term.value)
        at = datetime.combine(day, time()) if day else parse_datetime(term.value)
        if at is not None:
            return at if timezone.is_aware(at) else timezone.make_aware(at)
    except (ValueError, OverflowError):
        pass  # a form that is right, and a day that does not exist
    raise SearchError(
        f'"{term.key}:{shortened(term.value)}" is not a time. '
        'Accepted: "2026-11-20", "2026-11-20T13:05", "90m", "2h", "7d" ago.'
    )


def _text_in(column: str) -> Callable[[Term], Q]:
    """Return how a text column is asked: the whole value, or its beginning with ``*`` at the end."""

    def condition(term: Term) -> Q:
        if term.value.endswith("*") and not term.is_quoted:
            return Q(**{f"{column}__startswith": term.value[:-1]})
        return Q(**{column: term.value})

    return condition


def _bare_word(term: Term) -> Q:
    return Q(job_type__startswith=term.value)


def _worker(term: Term) -> Q:
    if _is_id(term.value):
        return Q(worker_id__range=_id_range(term.value))
    hosts = WorkerProcess._base_manager.using(get_settings().database).filter(host=term.value)
    return Q(worker_id__in=hosts.values("id"))


def _error(term: Term) -> Q:
    """Return a condition on the fingerprint, or on error code, exception class and message."""
    if _FINGERPRINT.fullmatch(term.value):
        return Q(error_fingerprint=term.value)
    exception_class = KeyTextTransform("exception_class", "error_details")
    condition = (
        Q(Exact(KeyTextTransform("error_code", "error_details"), term.value))
        | Q(Exact(exception_class, term.value))
        | Q(EndsWith(exception_class, f".{term.value}"))
    )
    if get_settings().redact is None:
        condition |= Q(error_message__icontains=term.value)
    return condition


def _parameter(term: Term) -> Q:
    if get_settings().redact is not None:
        raise SearchError(
            "Parameters cannot be searched in this project: they are redacted, and a search would reveal them."
        )
    found: Any = "parameters"
    for name in term.path:
        found = KeyTransform(name, found)
    condition = Q()
    for value in _json_values(term):
        condition |= Q(KeyTransformExact(found, Value(value, output_field=JSONField())))
        if len(term.path) == 1:
            condition |= _encrypted_parameter(term.path[0], value)
    return condition


def _encrypted_parameter(name: str, value: Any) -> Q:
    """Return the condition on rows that keep a digest of the parameter; false where there are no keys."""
    kept: Any = KeyTransform(name, KeyTransform("digests", KeyTransform(MARK, "parameters")))
    condition = Q()
    for digest in searched_digests(name, value):
        condition |= Q(KeyTransformExact(kept, Value(digest, output_field=JSONField())))
    return condition


def _json_values(term: Term) -> list[Any]:
    """Return what a typed value may be in JSON: its text, and what it is as a number, true, false or null."""
    if term.is_quoted:
        return [term.value]
    try:
        value = json.loads(term.value, parse_constant=lambda _name: term.value)
    except (ValueError, RecursionError):
        return [term.value]
    is_plain = (
        value is None or isinstance(value, bool | int) or (isinstance(value, float) and value - value == 0)
    )
    return [term.value, value] if is_plain else [term.value]


_BY_ID: dict[str, Callable[[Term], Q]] = {"id": _by_job_id, "before": _before, "after": _after}
_BY_COLUMN: dict[str, Callable[[Term], Q]] = {
    "": _bare_word,
    "type": _text_in("job_type"),
    "queue": _text_in("queue_name"),
    "product": _text_in("product"),
    "worker": _worker,
    "error": _error,
    "param": _parameter,
}
