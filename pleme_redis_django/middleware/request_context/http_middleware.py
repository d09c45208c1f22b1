"""RequestContextMiddleware: Django middleware that makes each HTTP request the current one, and gives it an id."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from pleme_redis_django.middleware.request_context.facts import answering

HEADER = "X-Request-ID"
# It stands in logs and in rows: nothing that could break a line, and no text of any length.
_ACCEPTED = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class OpenRequest:
    """A request that is being answered; its user is looked at when somebody asks."""

    __slots__ = ("_request", "request_id")

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        given = request.headers.get(HEADER, "")
        self.request_id = given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex

    @property
    def user_id(self) -> str | None:
        user: Any = getattr(self._request, "user", None)
        key = None if user is None else user.pk
        return None if key is None else str(key)


class RequestContextMiddleware:
    """For ``MIDDLEWARE`` of Django, sync or async; its place does not matter.

    The id is that of the header ``X-Request-ID``, else a new one, and the answer has it too.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self._is_async:
            return self._acall(request)
        opened = OpenRequest(request)
        with answering(opened):
            response: HttpResponse = self.get_response(request)
        response.headers[HEADER] = opened.request_id
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponse:
        opened = OpenRequest(request)
        with answering(opened):
            response: HttpResponse = await self.get_response(request)
        response.headers[HEADER] = opened.request_id
        return response
