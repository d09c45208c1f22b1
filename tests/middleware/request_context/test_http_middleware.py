"""RequestContextMiddleware: the id of each request, which user it is of, and whose it is while it is answered."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from pleme_redis_django.middleware import RequestContextMiddleware, current_request
from pleme_redis_django.middleware.request_context.http_middleware import OpenRequest


def request_with(request_id: str | None) -> HttpRequest:
    return RequestFactory().get("/", headers={} if request_id is None else {"X-Request-ID": request_id})


def id_of_current(_request: HttpRequest) -> HttpResponse:
    current = current_request()
    assert current is not None
    return HttpResponse(current.request_id)


async def aid_of_current(request: HttpRequest) -> HttpResponse:
    return id_of_current(request)


@pytest.mark.parametrize("given", ["abc.1", "trace:00-4bf92f_3", "x" * 128])
def test_an_id_that_came_along_is_kept(given: str) -> None:
    answer: Any = RequestContextMiddleware(id_of_current)(request_with(given))
    assert answer.content.decode() == answer.headers["X-Request-ID"] == given
    assert current_request() is None


@pytest.mark.parametrize(
    "given", [None, "", "two words", "a\nline", "x" * 129, "caf\N{LATIN SMALL LETTER E WITH ACUTE}"]
)
def test_an_id_that_could_break_a_log_is_replaced(given: str | None) -> None:
    answer: Any = RequestContextMiddleware(id_of_current)(request_with(given))
    assert len(answer.headers["X-Request-ID"]) == 32
    assert answer.content.decode() == answer.headers["X-Request-ID"]


async def test_an_async_chain_is_awaited() -> None:
    middleware = RequestContextMiddleware(aid_of_current)
    assert iscoroutinefunction(middleware)
    assert not iscoroutinefunction(RequestContextMiddleware(id_of_current))
    answer: Any = await middleware(request_with("abc.2"))
    assert (answer.content.decode(), answer.headers["X-Request-ID"]) == ("abc.2", "abc.2")


def test_a_view_that_raises_leaves_no_request_behind() -> None:
    def broken(_request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        RequestContextMiddleware(broken)(request_with("abc.3"))
    assert current_request() is None


def test_the_user_is_looked_at_when_somebody_asks() -> None:
    class Lazy:
        @property
        def pk(self) -> int:
            looks.append(1)
            return 7

    looks: list[int] = []
    request = request_with(None)
    opened = OpenRequest(request)
    assert opened.user_id is None
    request.user = Lazy()  # what a lazy user is to its reader
    assert looks == []
    assert (opened.user_id, looks) == ("7", [1])
