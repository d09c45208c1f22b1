from __future__ import annotations

import functools
from typing import Any

import pytest
from django.contrib.sessions.backends.cache import SessionStore
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.template.response import TemplateResponse
from django.test import RequestFactory

from pleme_redis_django import CacheManager, cached
from pleme_redis_django.exceptions import InvalidName


def test_a_function_is_called_once_for_equal_arguments(alias: str) -> None:
    calls = []

    @cached(300, key="area", alias=alias)
    def area(width: int, height: int = 1) -> tuple[int, int]:
        """Docs stay."""
        calls.append((width, height))
        return width, height

    assert area.__doc__ == "Docs stay."
    assert [area(2), area(2), area(2, height=3), area(2, height=3), area(3)] == [
        (2, 1),
        (2, 1),
        (2, 3),
        (2, 3),
        (3, 1),
    ]
    assert calls == [(2, 1), (2, 3), (3, 1)]


async def test_a_coroutine_function_too(alias: str, loop_clients: None) -> None:
    calls = []

    @cached(timeout=300, key="double", alias=alias)
    async def double(number: int) -> int:
        calls.append(number)
        return number * 2

    assert [await double(2), await double(2), await double(3)] == [4, 4, 6]
    assert calls == [2, 3]


def test_keys_are_functions_of_the_arguments_or_names_beside_them() -> None:
    @cached(300, key=lambda movie, **_: f"movie:{movie['id']}", tags=["movies"])
    def by_function(movie: dict[str, Any], *, note: str) -> str:
        return note

    @cached(300, key="price")
    def by_name(product: str) -> str:
        return product

    assert by_function({"id": 7}, note="first") == "first"
    assert by_function({"id": 7}, note="second") == "first"
    assert CacheManager().get("movie:7") == "first"
    CacheManager().flush_tags("movies")
    assert by_function({"id": 7}, note="third") == "third"
    assert (by_name("a"), by_name("b"), by_name("a")) == ("a", "b", "a")


class Shop:
    @cached(300)
    def name(self) -> str:
        return "shop"


def test_closures_and_lambdas_have_no_name_to_share(alias: str) -> None:
    def tax_of(rate: int) -> Any:
        def tax(net: int) -> int:
            return net * rate

        return tax

    for function in (tax_of(2), lambda net: net, functools.partial(max, 1)):
        with pytest.raises(InvalidName, match=r"no name of its own.*key="):
            cached(300, alias=alias)(function)
    double, triple = (cached(300, key=f"times {rate}", alias=alias)(tax_of(rate)) for rate in (2, 3))
    assert (double(1), triple(1)) == (2, 3)


def test_a_local_function_that_is_no_view_after_all_is_refused_when_called() -> None:
    page = cached(300)(lambda request: request)
    with pytest.raises(InvalidName, match="no name of its own"):
        page("no request")


def test_arguments_that_make_no_key_say_so() -> None:
    with pytest.raises(InvalidName, match=r"Shop\.name cannot be made into a key.*function of them"):
        Shop().name()


def test_products_do_not_share(alias: str) -> None:
    one, two = (
        cached(300, key="answer", product=product, alias=alias)(lambda product=product: product)
        for product in ("one", "two")
    )
    assert (one(), two()) == ("one", "two")


def counted(response: Any) -> Any:
    """A view that returns what ``response(request)`` does, and how often it was called."""

    def view(request: HttpRequest, *args: Any) -> Any:
        view.calls += 1
        return response(request)

    view.calls = 0
    return view


def get(path: str = "/page", **extra: Any) -> HttpRequest:
    request = RequestFactory().get(path, **extra)
    request.session = SessionStore()
    return request


def test_pages_are_kept_by_host_and_full_path(alias: str) -> None:
    view = counted(
        lambda request: HttpResponse(request.get_full_path(), headers={"X-Page": "1"}, charset="utf-8")
    )
    page = cached(300, alias=alias)(view)
    first, again = page(get("/page?a=1")), page(get("/page?a=1"))
    assert (first.content, first["X-Page"], first["Content-Type"]) == (
        again.content,
        again["X-Page"],
        again["Content-Type"],
    )
    assert page(get("/page?a=2")).content == b"/page?a=2"
    page(get("/page?a=1", headers={"host": "testserver:81"}))
    assert view.calls == 3


async def test_async_views_too(alias: str, loop_clients: None) -> None:
    calls = 0

    @cached(300, alias=alias)
    async def page(request: HttpRequest) -> HttpResponse:
        nonlocal calls
        calls += 1
        return HttpResponse("async")

    assert (await page(get())).content == (await page(get())).content == b"async"
    assert calls == 1


def test_posts_are_never_answered_from_the_cache() -> None:
    view = counted(lambda request: HttpResponse(request.method))
    page = cached(300)(view)
    page(get("/page"))
    assert page(RequestFactory().post("/page")).content == b"POST"
    assert page(RequestFactory().head("/page")).content == b"HEAD"
    assert view.calls == 3


def with_cookie(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("x")
    response.set_cookie("a", "b")
    return response


def with_session(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.session.get("name")))


def with_csrf_token(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


@pytest.mark.parametrize(
    "response",
    [
        with_cookie,
        with_session,
        with_csrf_token,
        lambda request: HttpResponse("x", status=404),
        lambda request: HttpResponse("x", headers={"Cache-Control": "max-age=0, Private"}),
        lambda request: HttpResponse("x", headers={"Vary": "Accept-Encoding, cookie"}),
        lambda request: StreamingHttpResponse([b"x"]),
    ],
)
def test_what_depends_on_the_visitor_or_is_no_page_is_not_kept(response: Any) -> None:
    view = counted(response)
    page = cached(300)(view)
    assert page(get()).status_code == page(get()).status_code
    assert view.calls == 2


def test_a_key_of_ones_own_may_tell_visitors_apart() -> None:
    view = counted(with_session)
    page = cached(300, key=lambda request: f"page:{request.headers['X-User']}")(view)
    for user in ("1", "2", "1", "2"):
        page(get(headers={"X-User": user}))
    assert view.calls == 2


def test_template_responses_are_rendered_and_kept() -> None:
    template = engines["django"].from_string("Hello {{ name }}")
    view = counted(lambda request: TemplateResponse(request, template, {"name": "Ada"}))
    page = cached(300)(view)
    assert page(get()).content == page(get()).content == b"Hello Ada"
    assert view.calls == 1
