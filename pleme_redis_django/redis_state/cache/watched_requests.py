"""Notices when a view reads the user: while it builds a page, the request records what is read from it.

What a middleware derived before, and put on the request under a name of its own, it cannot see.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

# ``request.session`` is not here: it says by itself whether it was read (``accessed``).
_PERSONAL = frozenset({"COOKIES", "auser", "headers", "user"})
_READING = "_pleme_reading"


class Reading:
    """Whether something of the visitor was read."""

    def __init__(self) -> None:
        self.is_personal = False
        self._users: dict[int, Any] = {}

    def noted(self, value: Any) -> Any:
        self.is_personal = True
        return value

    def noted_when_used(self, user: Any) -> Any:
        """Return ``user`` behind a proxy: Django's context processor fetches it for templates that never look.

        None has no proxy that ``is None``, so that fetching it counts.
        """
        if user is None:
            return self.noted(user)
        return self._users.setdefault(id(user), SimpleLazyObject(partial(self.noted, user)))


class _WatchedRequest(HttpRequest):
    """Stands before a request's own class while its view runs."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name not in _PERSONAL:
            return value
        reading: Reading = self.__dict__[_READING]
        return reading.noted_when_used(value) if name == "user" else reading.noted(value)


@contextmanager
def watched(request: HttpRequest) -> Iterator[Reading]:
    """Watch a request in place, since middleware and views keep it; a nested watch shares the outer one's."""
    if isinstance(request, _WatchedRequest):
        yield request.__dict__[_READING]
        return
    own_class, reading = request.__class__, Reading()
    request.__dict__[_READING] = reading
    request.__class__ = _watched_class(own_class)
    try:
        yield reading
    finally:
        request.__class__ = own_class
        del request.__dict__[_READING]


# One for each of the few request classes of a project; to make one takes longer than most views.
_watched_classes: dict[type[HttpRequest], type[HttpRequest]] = {}


def _watched_class(own_class: type[HttpRequest]) -> type[HttpRequest]:
    if own_class not in _watched_classes:
        _watched_classes[own_class] = type(own_class.__name__, (_WatchedRequest, own_class), {})
    return _watched_classes[own_class]
