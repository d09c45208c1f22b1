"""The jobs that a form and its address choose: the selected ones, or all that the filters match."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any, Self

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db.models import QuerySet
from django.http import HttpRequest

from pleme_redis_django.admin.bulk.batches import FIRST_ID

SELECT_ACROSS = "select_across"
_SALT = "pleme_redis_django.bulk"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The jobs that a person chose, limited to those that they may see."""

    rows: QuerySet[Any]
    ids: tuple[str, ...]
    """The selected ones; empty: all that the address matches."""
    after: uuid.UUID
    """Of those that match, only ids above it: how far back the list has looked."""
    address: str
    """The filters, as the query of an address."""
    window_note: str = ""
    """How far back the list has looked, "" where it was through all."""

    @classmethod
    def of(cls, model_admin: Any, request: HttpRequest, page_of: Any = None) -> Self:
        """Return what a request chooses; ``page_of``: the one job from whose page it comes.

        Raises SuspiciousOperation for filters that nobody may use.
        """
        matches = model_admin.matches(request)
        address = matches.get_query_string().removeprefix("?")
        if page_of is None and request.POST.get(SELECT_ACROSS) == "1":
            note = matches.window_note if matches.window else ""
            return cls(rows=matches.matching, ids=(), after=matches.after, address=address, window_note=note)
        ids = (str(page_of.pk),) if page_of else tuple(request.POST.getlist(ACTION_CHECKBOX_NAME))
        try:
            rows = matches.matching.filter(pk__in=ids)
        except ValidationError:  # not an id
            rows = matches.matching.none()
        return cls(rows=rows, ids=ids, after=FIRST_ID, address=address)


def sealed_cursor(request: HttpRequest, selection: Selection, cursor: uuid.UUID) -> str:
    """Return where the next batch goes on, for a hidden field: what was previewed, and no earlier job.

    Sealed for this user and these filters: an id of a person's own would lead out of the window, and
    the filters would look at every row of the table.
    """
    return _signer(request, selection).sign(str(cursor))


def posted_cursor(request: HttpRequest, selection: Selection) -> uuid.UUID:
    """Return the id behind which a posted form goes on; that of the window for one that was not sealed so."""
    try:
        return uuid.UUID(_signer(request, selection).unsign(request.POST.get("cursor", "")))
    except (BadSignature, ValueError):
        return selection.after


def _signer(request: HttpRequest, selection: Selection) -> Signer:
    chosen = ",".join(selection.ids)
    return Signer(salt=f"{_SALT}.{request.user.pk}.{selection.address}.{chosen}")


def posted_id(request: HttpRequest, name: str, default: uuid.UUID) -> uuid.UUID:
    """Return the id in a hidden field, the default when there is none or it is not an id."""
    try:
        return uuid.UUID(request.POST.get(name) or str(default))
    except ValueError:
        return default
