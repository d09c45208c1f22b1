"""A search that takes too long is cancelled by the database, so that no page keeps it busy.

A window bounds the rows that are looked at, not their size: 100,000 rows may hold gigabytes of JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.http import HttpResponse
from django.template.response import TemplateResponse

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.orm_store.bounded_reads import ReadTookTooLong, bounded_reads

SEARCH_SECONDS = 10.0


class SearchTookTooLong(PlemeError):
    """The database has cancelled a statement of a page."""

    def __init__(self) -> None:
        super().__init__(
            f"The database did not answer within {SEARCH_SECONDS:g} s. Narrow the jobs down by a time or a status."
        )


@contextmanager
def bounded_time(using: str) -> Iterator[None]:
    """Give each statement ``SEARCH_SECONDS``, on PostgreSQL; raises SearchTookTooLong.

    A shorter time that the role or the connection sets stays as it is.
    """
    try:
        with bounded_reads(using, SEARCH_SECONDS):
            yield
    except ReadTookTooLong as error:
        raise SearchTookTooLong from error


def bounded_page(view: Callable[..., HttpResponse], *args: Any) -> HttpResponse:
    """Return a page whose rows are read within the bounded time. Raises SearchTookTooLong.

    The page is rendered in it: a list is read when its template walks through it.
    """
    with bounded_time(get_settings().database):
        response = view(*args)
        if isinstance(response, TemplateResponse):
            response.render()
        return response
