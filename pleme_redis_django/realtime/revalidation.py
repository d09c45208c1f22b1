"""Looks again whether open sockets may still be there: the user, the session, and each permission.

Asked by signals (logout, a changed user, changed groups) within a second, and every
``REVALIDATE_SECONDS`` for what no signal tells, such as a queryset's update or a session that ran out.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from channels.db import database_sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.utils.crypto import constant_time_compare

from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.authorization import Action, is_allowed
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.frames import ErrorCode

if TYPE_CHECKING:
    from pleme_redis_django.realtime.connection import Connection
    from pleme_redis_django.realtime.hub import Hub

BATCH = 100


async def revalidate(hub: Hub, connections: list[Connection]) -> None:
    """Close the sockets whose user or session is no longer good; take from the others what they may no longer."""
    for start in range(0, len(connections), BATCH):
        batch = [each for each in connections[start : start + BATCH] if each.user_id and not each.is_closing]
        for connection, verdict in zip(batch, await database_sync_to_async(_judge)(batch), strict=True):
            if isinstance(verdict, CloseCode):
                connection.close(verdict, "expired" if verdict is CloseCode.EXPIRED else "revoked")
            else:
                connection.scope["user"] = verdict
                await _ask_again(hub, connection)


async def _ask_again(hub: Hub, connection: Connection) -> None:
    for pattern in list(connection.subscriptions):
        if not await is_allowed(connection.scope, "subscribe", pattern):
            await hub.unsubscribe(connection, pattern)
            connection.queue(frames.unsubscribed(pattern))
    action: Action = "presence"
    for room, is_joined in list(connection.rooms.items()):
        if not await is_allowed(connection.scope, action, room):
            await hub.unwatch(connection, room)
            connection.queue(frames.room_lost(room, ErrorCode.DENIED, "permission withdrawn"))
            if is_joined:
                await hub.presence.leave(connection, room)


def _judge(connections: list[Connection]) -> list[AbstractBaseUser | CloseCode]:
    users = get_user_model()._default_manager.in_bulk({each.scope["user"].pk for each in connections})
    return [_judge_one(each, users.get(each.scope["user"].pk)) for each in connections]


def _judge_one(connection: Connection, user: Any) -> AbstractBaseUser | CloseCode:
    if user is None or not user.is_active:
        return CloseCode.REVOKED
    if connection.session_key is not None:
        session = _load_session(connection.session_key)
        if str(session.get(SESSION_KEY)) != connection.user_id or BACKEND_SESSION_KEY not in session:
            return CloseCode.EXPIRED
        if not _is_hash_good(user, session.get(HASH_SESSION_KEY, "")):
            return CloseCode.REVOKED
    judged: AbstractBaseUser = user
    return judged


def _load_session(session_key: str) -> dict[str, Any]:
    store = import_module(django_settings.SESSION_ENGINE).SessionStore(session_key)
    loaded: dict[str, Any] = store.load()
    return loaded


def _is_hash_good(user: Any, stored: str) -> bool:
    """Compare as ``django.contrib.auth.get_user`` does: a changed password ends the other sessions."""
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(stored, each) for each in hashes)
