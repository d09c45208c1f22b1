"""Responses of views as values that can be cached, and which of them may be."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.utils.cache import has_vary_header

from pleme_redis_django.redis_state.cache.limits import Uncached


def to_value(response: HttpResponseBase, request: HttpRequest, *, shared: bool) -> Any:
    """Return a response as a value for the cache, or Uncached when it may not be kept.

    ``shared``: the key does not tell visitors apart, so neither may the response.
    """
    if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
        response = response.render()
    if not _may_be_kept(response) or (shared and _depends_on_visitor(response, request)):
        return Uncached(response)
    assert isinstance(response, HttpResponse)
    return {"status": response.status_code, "headers": dict(response.items()), "content": response.content}


def to_response(value: Any) -> HttpResponseBase:
    """Return the response that ``to_value`` made a value of."""
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


def _depends_on_visitor(response: HttpResponseBase, request: HttpRequest) -> bool:
    # Middleware adds "Vary: Cookie" after the view returned, so its reasons are looked at instead.
    session = getattr(request, "session", None)
    return (
        bool(session is not None and session.accessed)
        or bool(request.META.get("CSRF_COOKIE_NEEDS_UPDATE"))
        or any(has_vary_header(response, header) for header in ("Cookie", "Authorization", "*"))
    )
