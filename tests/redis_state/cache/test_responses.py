"""Cached views through Django's middleware: nobody gets a page that was made for somebody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext

from pleme_redis_django import cached

Middleware = Callable[[HttpRequest], HttpResponse]
calls: list[str] = []


def token_middleware(get_response: Middleware) -> Middleware:
    """Set ``request.user`` by a token, as APIs do, without a session."""

    def middleware(request: HttpRequest) -> HttpResponse:
        token = request.headers.get("Authorization", "").removeprefix("Token ") or request.headers.get(
            "X-Token"
        )
        if token:
            request.user = get_user_model()(username=token)
        elif not hasattr(request, "user"):
            request.user = AnonymousUser()
        return get_response(request)

    return middleware


def time_zone_middleware(get_response: Middleware) -> Middleware:
    def middleware(request: HttpRequest) -> HttpResponse:
        with timezone.override(ZoneInfo(request.headers.get("X-Zone", "UTC"))):
            return get_response(request)

    return middleware


@cached(60)
def user_name(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


@cached(60)
async def user_name_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


@cached(60)
def user_in_template(request: HttpRequest) -> TemplateResponse:
    template = engines["django"].from_string("{{ request.user.username }}")
    return TemplateResponse(request, template)


@cached(60)
def translated(request: HttpRequest) -> HttpResponse:
    return HttpResponse(gettext("Yes"))


@cached(60)
def local_hour(request: HttpRequest) -> HttpResponse:
    return HttpResponse(timezone.get_current_timezone_name())


@cached(60)
def by_accept(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.META.get("HTTP_ACCEPT"), headers={"Vary": "Accept"})


@cached(60)
def by_authorization(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.META.get("HTTP_AUTHORIZATION", "nobody"))


@cached(60)
def by_cookie(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.COOKIES.get("basket", "empty"))


@cached(60)
def by_header(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.headers.get("HX-Request", "whole page"))


@cached(60)
def by_session(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.session.get("basket", "empty"))


@cached(60)
def public(request: HttpRequest) -> TemplateResponse:
    calls.append("public")
    # Django's context processors put the user and the messages into the context; nothing reads them.
    return TemplateResponse(request, engines["django"].from_string("Hello"))


VIEWS = {
    "user": user_name,
    "user-async": user_name_async,
    "template": user_in_template,
    "language": translated,
    "zone": local_hour,
    "accept": by_accept,
    "authorization": by_authorization,
    "cookie": by_cookie,
    "header": by_header,
    "session": by_session,
    "public": public,
}
urlpatterns = [path(f"{name}/", view) for name, view in VIEWS.items()]


@pytest.fixture(autouse=True)
def site(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.locale.LocaleMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        f"{__name__}.token_middleware",
        f"{__name__}.time_zone_middleware",
    ]
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.USE_I18N = True
    calls.clear()


def text(client: Client, name: str, **headers: str) -> str:
    return client.get(f"/{name}/", headers=headers).content.decode()


@pytest.mark.parametrize("view", ["user", "template"])
@pytest.mark.parametrize(
    ("ann", "ben"),
    [
        ({"authorization": "Token ann"}, {"authorization": "Token ben"}),
        ({"x-token": "ann"}, {"x-token": "ben"}),
    ],
)
@pytest.mark.django_db
def test_user_of_a_token_gets_no_page_of_another(view: str, ann: dict[str, str], ben: dict[str, str]) -> None:
    client = Client()
    assert [text(client, view, **each) for each in (ann, ben, ann)] == ["ann", "ben", "ann"]
    assert text(client, view) == ""


@pytest.mark.django_db
async def test_user_of_a_token_gets_no_page_of_another_from_an_async_view(loop_clients: None) -> None:
    client = AsyncClient()
    names = [(await client.get("/user-async/", headers={"x-token": name})).content for name in ("ann", "ben")]
    assert names == [b"ann", b"ben"]


@pytest.mark.django_db
def test_user_of_a_session_gets_no_page_of_another() -> None:
    names = []
    for name in ("ann", "ben"):
        client = Client()
        client.force_login(get_user_model().objects.create_user(name))
        names.append(text(client, "user"))
    assert [*names, text(Client(), "user")] == ["ann", "ben", ""]


@pytest.mark.parametrize(
    ("view", "first", "second"),
    [
        ("language", {"accept-language": "de"}, {"accept-language": "en"}),
        ("zone", {"x-zone": "Asia/Tokyo"}, {"x-zone": "Europe/Berlin"}),
        ("accept", {"accept": "text/html"}, {"accept": "application/json"}),
        ("authorization", {}, {"authorization": "Token ann"}),
        ("authorization", {"authorization": "Token ann"}, {"authorization": "Token ben"}),
        ("cookie", {"cookie": "basket=apple"}, {"cookie": "basket=pear"}),
        ("header", {"hx-request": "part"}, {}),
    ],
)
def test_visitors_who_differ_get_pages_that_differ(
    view: str, first: dict[str, str], second: dict[str, str]
) -> None:
    mine, other, mine_again = (text(Client(), view, **each) for each in (first, second, first))
    assert mine != other
    assert mine == mine_again


def test_session_of_one_visitor_is_not_shown_to_another() -> None:
    ann = Client()
    session = ann.session
    session["basket"] = "apple"
    session.save()
    assert [text(ann, "session"), text(Client(), "session")] == ["apple", "empty"]


def test_page_that_reads_nothing_of_the_visitor_is_kept_for_all() -> None:
    for headers in ({}, {"x-token": "ann"}, {"cookie": "basket=apple"}):
        assert text(Client(), "public", **headers) == "Hello"
    assert calls == ["public"]


def test_request_with_authorization_is_neither_answered_from_the_cache_nor_kept() -> None:
    text(Client(), "public", authorization="Token ann")
    text(Client(), "public")
    text(Client(), "public", authorization="Token ann")
    assert calls == ["public"] * 3
