"""A search that takes too long is cancelled by the database, so that no page keeps it busy.

A window bounds the rows that are looked at, not their size: 100,000 rows may hold gigabytes of JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connections, transaction
from django.http import HttpResponse
from django.template.response import TemplateResponse

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import PlemeError

SEARCH_SECONDS = 10.0
_QUERY_CANCELLED = "57014"  # PostgreSQL, appendix A: query_canceled


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
        with transaction.atomic(using=using):
            if connections[using].vendor == "postgresql":
                with connections[using].cursor() as cursor:
                    milliseconds = str(round(SEARCH_SECONDS * 1000))
                    # 0 means no limit. pg_settings tells the limit in milliseconds, whatever its unit was.
                    cursor.execute(
                        "SELECT set_config('statement_timeout', "
                        "CASE WHEN setting::int BETWEEN 1 AND %s::int THEN setting ELSE %s END, true) "
                        "FROM pg_settings WHERE name = 'statement_timeout'",
                        [milliseconds, milliseconds],
                    )
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _QUERY_CANCELLED:
            raise
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
