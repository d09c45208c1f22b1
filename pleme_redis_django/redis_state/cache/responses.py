"""Responses of views as values that can be cached, and which of them may be."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse

from pleme_redis_django.redis_state.cache.limits import Uncached
from pleme_redis_django.redis_state.cache.watched_requests import Reading


def may_be_shared(request: HttpRequest) -> bool:
    """Return whether a shared page is right for this request: not if the request identifies its user."""
    return request.method == "GET" and "HTTP_AUTHORIZATION" not in request.META


def rendered(response: HttpResponseBase) -> HttpResponseBase:
    """Return a response whose template, if it has one, has read what it wants of the request."""
    if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
        return response.render()
    return response


def to_value(response: HttpResponseBase, request: HttpRequest, reading: Reading | None) -> Any:
    """Return a rendered response as a value for the cache, or Uncached when it may not be kept.

    ``reading``: what the view read of the request; None when the key tells visitors apart.
    """
    if not _may_be_kept(response) or (reading and _depends_on_visitor(response, request, reading)):
        return Uncached(response)
    assert isinstance(response, HttpResponse)
    return {"status": response.status_code, "headers": dict(response.items()), "content": response.content}


def to_response(value: Any) -> HttpResponseBase:
    if isinstance(value, HttpResponseBase):
        return value
    return HttpResponse(value["content"], status=value["status"], headers=value["headers"])


def _may_be_kept(response: HttpResponseBase) -> bool:
    forbidden = {"no-store", "no-cache", "private"}
    directives = {part.strip().lower() for part in response.get("Cache-Control", "").split(",")}
    return (
        isinstance(response, HttpResponse)
        and response.status_code == 200
        and not response.cookies
        and forbidden.isdisjoint(directives)
    )


def _depends_on_visitor(response: HttpResponseBase, request: HttpRequest, reading: Reading) -> bool:
    # Middleware adds its "Vary" after the view returned, so its reasons are looked at instead: the session,
    # the CSRF token, and the language, which is in the key.
    session = getattr(request, "session", None)
    return (
        reading.is_personal
        or bool(session is not None and session.accessed)
        or bool(request.META.get("CSRF_COOKIE_NEEDS_UPDATE"))
        or bool(response.get("Vary"))
    )
