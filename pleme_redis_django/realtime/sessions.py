"""The login sessions of open sockets: which one logged a socket in, and what is in them now.

If the cache of the sessions is away, it looks as if there were no session. This module tells the two apart.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore
from django.core.cache import caches
from django.db import router
from django.utils import timezone

from pleme_redis_django.exceptions import PlemeError


class SessionsAway(PlemeError):
    """The cache of the sessions does not answer: nothing is known about any session."""


def load_user(scope: dict[str, Any]) -> bool:
    """Load a scope's lazy user and session, in a thread; return whether somebody is logged in.

    Raises SessionsAway if nobody is, and the session of the cookie that was sent cannot be read.
    """
    session = scope.get("session")
    if session is not None:
        session.get(SESSION_KEY)
    is_authenticated = bool(scope["user"].is_authenticated)
    if not is_authenticated and django_settings.SESSION_COOKIE_NAME in scope.get("cookies", {}):
        ask_whether_sessions_are_away()
    return is_authenticated


def login_session_key(scope: dict[str, Any], user_id: str | None) -> str | None:
    """Return the key of the session that logged a socket's user in, or None if something else did.

    A user who is known by a token, beside the session cookie of somebody else, is not bound to that session.
    """
    session = scope.get("session")
    key: str | None = getattr(session, "session_key", None)
    if session is None or key is None or user_id is None:
        return None
    return key if str(session.get(SESSION_KEY)) == user_id else None


def load_sessions(keys: Collection[str]) -> dict[str, SessionBase]:
    """Return each session as it is stored now, empty if it is not; one query for those in a database.

    Raises SessionsAway, or what the session engine raises if it is away.
    """
    engine = _engine()
    if keys and engine.load is DatabaseStore.load:
        return _load_rows(engine, keys)
    sessions = {}
    for key in keys:
        sessions[key] = session = engine(key)
        if session.get(SESSION_KEY) is None and session.is_empty():
            ask_whether_sessions_are_away()
    return sessions


def ask_whether_sessions_are_away() -> None:
    """Raise SessionsAway if sessions are kept in a cache that does not answer."""
    if issubclass(_engine(), CacheStore):
        try:
            caches[django_settings.SESSION_CACHE_ALIAS].get("pleme_redis_django:are_sessions_there")
        except Exception as error:
            raise SessionsAway(f"The cache of the sessions does not answer: {error}") from error


def are_in_cookies() -> bool:
    """Return whether sessions are cookies: then a logout ends none of them, and their keys change."""
    return issubclass(_engine(), CookieStore)


def _engine() -> type[SessionBase]:
    engine: type[SessionBase] = import_module(django_settings.SESSION_ENGINE).SessionStore
    return engine


def _load_rows(engine: type[Any], keys: Collection[str]) -> dict[str, SessionBase]:
    model = engine.get_model_class()
    # From where sessions are written: a replica may not have the logout yet.
    rows = model._base_manager.using(router.db_for_write(model)).filter(
        session_key__in=keys, expire_date__gt=timezone.now()
    )
    stored = {row.session_key: row.session_data for row in rows}
    sessions = {}
    for key in keys:
        sessions[key] = session = engine(key)
        # As load() would, with a query for each.
        session._session_cache = session.decode(stored[key]) if key in stored else {}
    return sessions
