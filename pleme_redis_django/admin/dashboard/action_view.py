"""What every action on the dashboard shares: a POST behind its permission, a reason, and an entry in the log."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from pleme_redis_django.admin.untrusted import refuse_nul

REASON_CHARACTERS = 500

V = TypeVar("V", bound=Callable[..., HttpResponse])


def action_view(permission: str) -> Callable[[V], V]:
    """Make a method a view that accepts only a POST of a user with ``permission``."""

    def decorate(view: V) -> V:
        @wraps(view)
        def guarded(self: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            if not self.may(request, permission):
                raise PermissionDenied
            refuse_nul(request)
            return view(self, request, *args, **kwargs)

        return guarded  # type: ignore[return-value]  # the same signature

    return decorate


def posted_reason(request: HttpRequest) -> str:
    """Return the reason that a form gives, cut to what is stored."""
    return request.POST.get("reason", "").strip()[:REASON_CHARACTERS]


def log_action(request: HttpRequest, subject: models.Model, message: str) -> None:
    """Leave an entry in the admin's log."""
    LogEntry.objects.log_actions(request.user.pk, [subject], CHANGE, message)  # type: ignore[arg-type]  # a list of rows does
