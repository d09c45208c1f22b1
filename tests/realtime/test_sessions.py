"""Sockets and the sessions that opened them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.control import (
    arevalidate_user,
)
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.testing.realtime import let_time_pass
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.opening import create_user, heard, opened, session_of
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

Configure = Callable[..., None]

HERE = "tests.realtime.test_sessions"


def has_a_cart(scope: dict[str, Any], action: str, channel: str) -> bool:
    return bool(scope["session"].get("cart"))


@pytest.mark.parametrize("is_anonymous", [True, False])
async def test_rules_read_the_session_as_it_is_now(configure: Configure, is_anonymous: bool) -> None:
    configure(CHANNELS={"order:*": {"subscribe": f"{HERE}.has_a_cart"}}, ALLOW_ANONYMOUS=True)
    user = await create_user("ana")
    session = SessionStore() if is_anonymous else await session_of(user)
    await sync_to_async(session.update)({"cart": [1]})
    await sync_to_async(session.save)()
    async with open_socket(AnonymousUser() if is_anonymous else user, session=session) as socket:
        await socket.client.connect()
        await heard()
        await socket.client.subscribe("order:1")
        stored = SessionStore(session.session_key)
        await sync_to_async(stored.pop)("cart")
        await sync_to_async(stored.save)()
        await arevalidate_user()
        assert (await socket.client.next_push("unsub"))["ch"] == "order:1"


async def test_login_by_token_beside_anothers_session_stays_open(_other_session: Any) -> None:
    ana = await create_user("ana")
    async with opened(ana, session=_other_session) as socket:
        await heard()
        (connection,) = hub().connections.values()
        judged = connection.standing.judged
        await arevalidate_user(ana.pk)
        await await_until(lambda: connection.standing.judged > judged)
        await socket.client.join("room:1")


@pytest.fixture(params=["nobody's", "another's"])
def _other_session(request: pytest.FixtureRequest) -> Any:
    session = SessionStore()
    session["_auth_user_id"] = "999" if request.param == "another's" else None
    session.save()
    return session


@pytest.fixture
def _cached_sessions(settings: Any) -> Callable[[str], None]:
    backend = "django.core.cache.backends.redis.RedisCache"
    away = {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:1/0"}
    there = settings.CACHES["default"]
    settings.CACHES = {"default": there, "there": there, "away": away}
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.SESSION_CACHE_ALIAS = "there"

    def switch(alias: str) -> None:
        settings.SESSION_CACHE_ALIAS = alias

    return switch


async def test_cache_of_the_sessions_that_is_away_closes_nobody(
    _cached_sessions: Callable[[str], None],
) -> None:
    ana = await create_user("ana")
    async with opened(ana, session=await session_of(ana)) as socket:
        await heard()
        _cached_sessions("away")
        await arevalidate_user()
        await await_until(lambda: hub().revalidator._unknown)
        await socket.client.join("room:1")
        _cached_sessions("there")
        let_time_pass(6, product="acme")
        (connection,) = hub().connections.values()
        judged = connection.standing.judged
        await await_until(lambda: connection.standing.judged > judged)
        assert not connection.is_closing


async def test_handshake_without_the_cache_of_the_sessions_comes_back(
    _cached_sessions: Callable[[str], None],
) -> None:
    _cached_sessions("away")
    async with open_socket(session=None, cookies={"sessionid": "x" * 32}) as socket:
        assert await socket.client.wait_closed() == CloseCode.OVERLOAD
    async with open_socket(session=None, cookies={}) as socket:
        assert await socket.client.wait_closed() == CloseCode.BAD_CREDENTIALS


async def test_logout_of_a_session_in_a_cookie_closes_for_a_while(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    ana = await create_user("ana")
    client = Client()
    await sync_to_async(client.force_login)(ana)
    session = await sync_to_async(lambda: client.session)()
    async with opened(ana, session=session) as socket:
        await heard()
        await sync_to_async(client.logout)()
        assert await socket.client.wait_closed() == CloseCode.EXPIRED


def orders() -> list[Any]:
    return [json.loads(fields[b"order"]) for _, fields in redis_client().xrange(keyspace.control_log())]
