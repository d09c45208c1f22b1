"""What open sockets lose when something changes, also while something else is on its way."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, transaction
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.realtime import revalidation
from pleme_redis_django.realtime.authorization import takes_patterns
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.consumers import RealtimeConsumer
from pleme_redis_django.realtime.control import (
    Control,
    arevalidate_product,
    arevalidate_user,
    parse_control,
    revoke_user,
)
from pleme_redis_django.realtime.database_threads import RULE_THREADS, RULES_OF_CLIENTS
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.realtime.revalidation import _judge
from pleme_redis_django.realtime.user_changes import connect_receivers
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import redis_client
from pleme_redis_django.testing.realtime import CommandFailed, connected_client, let_time_pass
from pleme_redis_django.testing.realtime.client import InProcessSocket, open_socket
from tests.realtime.conftest import Person
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

Configure = Callable[..., None]
HERE = "tests.realtime.test_open_sockets"


async def create_user(name: str, **fields: Any) -> Any:
    return await sync_to_async(get_user_model().objects.create_user)(name, password="x", **fields)


async def session_of(user: Any) -> Any:
    client = Client()
    await sync_to_async(client.force_login)(user)
    return await sync_to_async(lambda: client.session)()


@asynccontextmanager
async def opened(user: Any, **scope: Any) -> AsyncIterator[InProcessSocket]:
    """A connected socket of a user's own, as each handshake loads it anew."""
    own = await get_user_model().objects.aget(pk=user.pk)
    async with open_socket(own, **scope) as socket:
        await socket.client.connect()
        yield socket


async def heard() -> None:
    """Return when this process hears orders and has looked at what they concern."""
    await await_until(lambda: hub().control.was_confirmed)
    await hub().settle()


# Rules that fail

GONE: set[str] = set()


def may_while_it_exists(scope: dict[str, Any], action: str, channel: str) -> bool:
    if channel in GONE:
        raise LookupError(channel)
    return True


async def test_raising_rule_takes_its_subscription_and_stops_nobodys_look(configure: Configure) -> None:
    configure(CHANNELS={"order:*": {"subscribe": f"{HERE}.may_while_it_exists"}})
    GONE.clear()
    eve, ben = await create_user("eve"), await create_user("ben")
    async with opened(eve) as first, opened(ben) as second:
        await first.client.subscribe("order:7")
        GONE.add("order:7")
        await get_user_model().objects.filter(pk=ben.pk).aupdate(is_active=False)
        let_time_pass(61, product="acme")
        assert (await first.client.next_push("unsub"))["ch"] == "order:7"
        assert await second.client.wait_closed() == CloseCode.REVOKED


async def test_rule_that_cannot_be_asked_is_asked_again(configure: Configure) -> None:
    answers: list[Any] = [True, OperationalError("away"), False]

    def rule(scope: dict[str, Any], action: str, channel: str) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    configure(CHANNELS={"order:*": {"subscribe": rule}})
    async with opened(await create_user("ana")) as socket:
        await heard()
        await socket.client.subscribe("order:7")
        await arevalidate_user()
        await await_until(lambda: hub().revalidator._unknown)
        assert not socket.client.pushes
        let_time_pass(6, product="acme")
        assert (await socket.client.next_push("unsub"))["ch"] == "order:7"


# Races


@takes_patterns
def is_staff(scope: dict[str, Any], action: str, channel: str) -> bool:
    return bool(scope["user"].is_staff)


async def test_older_look_does_not_give_back_what_a_newer_took(configure: Configure) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    is_slow = False

    async def slow_for_ben(scope: dict[str, Any], action: str, channel: str) -> bool:
        if is_slow and scope["user"].username == "ben" and scope["user"].is_staff:
            asked.set()
            await answer.wait()
        return bool(scope["user"].is_staff)

    configure(CHANNELS={"room:*": {"subscribe": slow_for_ben}})
    ben = await create_user("ben", is_staff=True)
    async with opened(ben) as socket:
        await heard()
        await socket.client.subscribe("room:staff")
        is_slow = True
        let_time_pass(61, product="acme")
        await asked.wait()
        ben.is_staff = False
        await ben.asave()
        assert (await socket.client.next_push("unsub"))["ch"] == "room:staff"
        answer.set()
        await hub().settle()
        with pytest.raises(CommandFailed) as error:
            await socket.client.subscribe("room:staff")
        assert error.value.code == ErrorCode.DENIED


async def test_stale_look_does_not_hide_the_user_that_a_newer_loaded(configure: Configure) -> None:
    """Many sockets are loaded at once; by the time the rules of the last are asked, it may have changed."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow_for_ana(scope: dict[str, Any], action: str, channel: str) -> bool:
        if is_slow and scope["user"].username == "ana":
            asked.set()
            await answer.wait()
        return bool(scope["user"].is_staff)

    is_slow = False
    configure(CHANNELS={"room:*": {"subscribe": slow_for_ana}})
    ana, ben = await create_user("ana", is_staff=True), await create_user("ben", is_staff=True)
    async with opened(ana) as first, opened(ben) as second:
        await heard()
        await first.client.subscribe("room:staff")
        is_slow = True
        let_time_pass(61, product="acme")
        await asked.wait()
        ben.is_staff = False
        await ben.asave()
        (connection,) = hub().sockets.of_user(str(ben.pk))
        await await_until(lambda: not connection.standing.scope["user"].is_staff)
        answer.set()
        await hub().settle()
        with pytest.raises(CommandFailed):
            await second.client.subscribe("room:staff")


@pytest.mark.parametrize("command", ["subscribe", "join"])
async def test_permission_that_goes_while_a_command_waits_is_not_used(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    configure(CHANNELS={"room:*": dict.fromkeys(("subscribe", "presence"), f"{HERE}.is_staff")})
    following, go_on = asyncio.Event(), asyncio.Event()
    ben = await create_user("ben", is_staff=True)
    async with opened(ben) as socket:
        await heard()
        follow = hub().heads._bus.follow

        async def slow_follow(*args: Any) -> Any:
            following.set()
            await go_on.wait()
            return await follow(*args)

        monkeypatch.setattr(hub().heads._bus, "follow", slow_follow)
        asking = asyncio.ensure_future(getattr(socket.client, command)("room:staff"))
        await following.wait()
        ben.is_staff = False
        await ben.asave()
        (connection,) = hub().sockets.of_user(str(ben.pk))
        await await_until(lambda: not connection.standing.scope["user"].is_staff)
        go_on.set()
        with pytest.raises(CommandFailed) as error:
            await asking
        assert error.value.code == ErrorCode.DENIED
        assert not connection.listening.subscriptions
        assert not connection.listening.rooms
        await hub().settle()
        assert len(hub().heads) == 0
        assert not await PresenceManager("acme", "room:staff").ais_online(ben.pk)


async def test_order_during_a_handshake_reaches_its_socket(configure: Configure) -> None:
    ben, ana = await create_user("ben"), await create_user("ana")
    async with opened(ana):
        await heard()
        loaded = await get_user_model().objects.aget(pk=ben.pk)
        RESOLVING.clear()
        MAY_RESOLVE.clear()
        configure(PRODUCT_RESOLVER=f"{HERE}.slow_resolver")
        async with open_socket(loaded) as socket:
            await await_until(RESOLVING.is_set)
            ben.is_active = False
            await ben.asave()
            await await_until(lambda: hub().control.has_heard)
            MAY_RESOLVE.set()
            assert await socket.client.wait_closed() == CloseCode.REVOKED


RESOLVING, MAY_RESOLVE = threading.Event(), threading.Event()


def slow_resolver(scope: dict[str, Any]) -> str:
    RESOLVING.set()
    assert MAY_RESOLVE.wait(20)
    return "acme"


# Products and sessions


MEMBERS: dict[Any, str | None] = {}


def product_by_membership(scope: dict[str, Any]) -> str | None:
    product = MEMBERS[scope["user"].pk]
    if product == "broken":
        raise LookupError("no such tenant")
    return product


@pytest.mark.parametrize("product", ["beta", None])
async def test_former_member_is_closed(configure: Configure, product: str | None) -> None:
    configure(PRODUCT_RESOLVER=f"{HERE}.product_by_membership", PRODUCT=None)
    ana, ben = await create_user("ana"), await create_user("ben")
    MEMBERS.update({ana.pk: "acme", ben.pk: "acme"})
    async with opened(ana) as stays, opened(ben) as goes:
        await heard()
        MEMBERS[ben.pk] = product
        await arevalidate_product("acme")
        assert await goes.client.wait_closed() == CloseCode.EXPIRED
        await stays.client.join("room:1")


async def test_former_member_is_noticed_without_a_signal(configure: Configure) -> None:
    configure(PRODUCT_RESOLVER=f"{HERE}.product_by_membership")
    ben = await create_user("ben")
    MEMBERS[ben.pk] = "acme"
    async with opened(ben) as socket:
        MEMBERS[ben.pk] = "beta"
        let_time_pass(61, product="acme")
        assert await socket.client.wait_closed() == CloseCode.EXPIRED


async def test_resolver_that_raises_gives_a_final_code(configure: Configure) -> None:
    configure(PRODUCT_RESOLVER=f"{HERE}.product_by_membership")
    ben = await create_user("ben")
    MEMBERS[ben.pk] = "broken"
    async with open_socket(ben) as socket:
        assert await socket.client.wait_closed() == CloseCode.DENIED


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


# Orders


async def test_revocation_reaches_a_process_whose_bus_was_away() -> None:
    ana = await create_user("ana")
    async with opened(ana) as socket:
        await heard()
        # Without a wait in between: the order is sent while the server has no connection of the bus.
        redis_client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        revoke_user(ana.pk)
        assert await socket.client.wait_closed() == CloseCode.REVOKED


async def test_change_reaches_a_process_whose_bus_was_away() -> None:
    ana = await create_user("ana")
    async with opened(ana) as socket:
        await heard()
        await get_user_model().objects.aupdate(is_active=False)
        redis_client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert await socket.client.wait_closed() == CloseCode.REVOKED


async def test_kept_revocation_does_not_close_who_came_later() -> None:
    ana = await create_user("ana")
    await sync_to_async(revoke_user)(ana.pk)
    async with opened(ana) as socket:
        await heard()
        redis_client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        (connection,) = hub().connections.values()
        judged = connection.standing.judged
        await await_until(lambda: connection.standing.judged > judged)
        await hub().settle()
        await socket.client.join("room:1")


def test_orders_of_another_release_are_understood_or_left() -> None:
    order = {"operation": "close", "user_id": "7", "of_the_future": 1}
    assert parse_control(json.dumps(order)) == Control(operation="close", user_id="7")
    for text in ('{"operation": "dance"}', "[]", "{}", "nonsense", '{"operation": "close", "code": 7}'):
        assert parse_control(text) is None


def orders() -> list[Any]:
    return [json.loads(fields[b"order"]) for _, fields in redis_client().xrange(keyspace.control_log())]


@pytest.fixture
def _no_orders() -> None:
    redis_client().delete(keyspace.control_log())


def test_orders_of_a_transaction_are_sent_once(_no_orders: None) -> None:
    user = get_user_model().objects.create_user("ana")
    other = get_user_model().objects.create_user("ben")
    group = Group.objects.create(name="staff")
    with transaction.atomic():
        for _ in range(3):
            user.save()
        user.groups.add(group)
        with pytest.raises(LookupError), transaction.atomic():
            other.save()
            raise LookupError
        with transaction.atomic():
            user.save()
        assert not orders()
    assert [(each["operation"], each["user_id"]) for each in orders()] == [("revalidate", str(user.pk))]


def test_an_order_that_redis_refuses_is_logged_and_undoes_nothing(
    _no_orders: None, caplog: pytest.LogCaptureFixture
) -> None:
    user = get_user_model().objects.create_user("ana")
    redis_client().set(keyspace.control_log(), "no stream")
    try:
        user.save()
        with transaction.atomic():
            user.save()
    finally:
        redis_client().delete(keyspace.control_log())
    refused = [each for each in caplog.messages if "Error calling _Orders.send in on_commit()" in each]
    assert len(refused) == 2 and all("WRONGTYPE" in each for each in refused)


def test_a_large_group_is_one_order(_no_orders: None) -> None:
    users = get_user_model().objects.bulk_create(get_user_model()(username=f"u{n}") for n in range(150))
    Group.objects.create(name="all").user_set.set(users)
    assert [(each["operation"], each["user_id"]) for each in orders()] == [("revalidate", None)]


async def test_deleted_group_takes_what_it_gave(configure: Configure) -> None:
    configure(CHANNELS={"order:*": {"subscribe": f"{HERE}.may_view_groups"}})
    group = await Group.objects.acreate(name="staff")
    await group.permissions.aadd(await Permission.objects.aget(codename="view_group"))
    ana = await create_user("ana")
    await ana.groups.aadd(group)
    async with opened(ana) as socket:
        await heard()
        await socket.client.subscribe("order:*")
        await group.adelete()
        assert (await socket.client.next_push("unsub"))["ch"] == "order:*"


@takes_patterns
def may_view_groups(scope: dict[str, Any], action: str, channel: str) -> bool:
    return bool(scope["user"].has_perm("auth.view_group"))


@pytest.fixture
def _proxy() -> Iterator[Any]:
    class Member(get_user_model()):  # type: ignore[misc]  # the project's user model
        class Meta:
            app_label = "workload"
            proxy = True

    connect_receivers()
    yield Member
    del apps.all_models["workload"]["member"]
    apps.clear_cache()


def test_user_saved_through_a_proxy_is_looked_at(_proxy: Any, _no_orders: None) -> None:
    user = get_user_model().objects.create_user("ana")
    _proxy.objects.get(pk=user.pk).save()
    assert [each["user_id"] for each in orders()] == [str(user.pk)]


# Cost


async def test_sockets_are_judged_in_two_queries() -> None:
    users = [await create_user(f"u{n}") for n in range(5)]
    sessions = [await session_of(user) for user in users]
    async with AsyncExitStack() as stack:
        for user, session in zip(users, sessions, strict=True):
            await stack.enter_async_context(open_socket(user, session=session))
        await await_until(lambda: len(hub().connections) == 5)
        connections = list(hub().connections.values())

        def judge() -> int:
            with CaptureQueriesContext(database) as queries:
                assert len(_judge(connections)) == 5
            return len(queries)

        assert await sync_to_async(judge)() == 2


async def test_handshake_does_not_wait_for_rules(configure: Configure) -> None:
    answer = threading.Event()

    def slow(scope: dict[str, Any], action: str, channel: str) -> bool:
        return answer.wait(30)

    configure(CHANNELS={"order:*": {"subscribe": slow}})
    ana, ben = await create_user("ana"), await create_user("ben")
    async with AsyncExitStack() as stack:
        asking = []
        for _ in range(RULE_THREADS + 1):
            socket = await stack.enter_async_context(opened(ana))
            asking.append(asyncio.ensure_future(socket.client.subscribe("order:1")))
        async with opened(ben):
            assert not answer.is_set()
        answer.set()
        await asyncio.gather(*asking)


def note_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> asyncio.Event:
    """Return what is set once a look calls this function."""
    called, function = asyncio.Event(), getattr(revalidation, name)

    def noted(*args: Any, **options: Any) -> Any:
        called.set()
        return function(*args, **options)

    monkeypatch.setattr(revalidation, name, noted)
    return called


async def test_withdrawn_permission_does_not_wait_behind_a_herd(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer = threading.Semaphore(0)

    def rule(scope: dict[str, Any], action: str, channel: str) -> bool:
        return channel != "order:herd" or may_answer.acquire(timeout=30)

    @takes_patterns
    def of_staff(scope: dict[str, Any], action: str, channel: str) -> bool:
        return bool(scope["user"].is_staff)

    configure(CHANNELS={"order:*": {"subscribe": rule}, "room:*": {"subscribe": of_staff}})
    ben = await create_user("ben", is_staff=True)
    herd = [await create_user(f"u{number}") for number in range(4 * RULES_OF_CLIENTS)]
    async with AsyncExitStack() as stack:
        socket = await stack.enter_async_context(opened(ben))
        await heard()
        await socket.client.subscribe("room:staff")
        sockets = [await stack.enter_async_context(opened(user)) for user in herd]
        asking = [asyncio.ensure_future(each.client.subscribe("order:herd")) for each in sockets]
        await await_until(
            lambda: all(each.is_busy for each in hub().connections.values() if each.user_id != str(ben.pk))
        )
        # What a look asks stands in line, behind no more than this, from the turn of the loop in which it asks.
        steps = ("resolve_scope_product", "is_allowed")
        asked = {name: note_calls(monkeypatch, name) for name in steps}
        ben.is_staff = False
        await ben.asave()
        for name in steps:
            await asked[name].wait()
            may_answer.release(RULES_OF_CLIENTS)
        assert (await socket.client.next_push("unsub"))["ch"] == "room:staff"
        may_answer.release(len(herd))
        await asyncio.gather(*asking)


# The hub


async def test_tick_that_fails_ends_no_clock(
    ana: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected_client(ana):
        monkeypatch.setattr(hub().presence, "tick", lambda now: 1 / 0)
        await await_until(lambda: "A tick of the hub failed" in caplog.text)
        monkeypatch.undo()
        (connection,) = hub().connections.values()
        let_time_pass(26, product="acme")
        await await_until(lambda: connection.outbox.pulse.heard_at > connection.opened_at + 20)


async def test_closed_socket_is_let_go_before_its_server_tells(ana: Person, configure: Configure) -> None:
    configure(PRESENCE_GRACE_SECONDS=0, REALTIME_LIMITS={"send_timeout_seconds": 1})

    async def keep_quiet(message: dict[str, Any]) -> None:
        """A server whose peer is gone: it takes the close, and reports no disconnect."""

    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "websocket", "path": "/", "headers": [], "user": ana, "session": None}
    inbox.put_nowait({"type": "websocket.connect"})
    inbox.put_nowait({"type": "websocket.receive", "text": '{"id":1,"connect":{}}'})
    serving = asyncio.ensure_future(RealtimeConsumer.as_asgi()(scope, inbox.get, keep_quiet))
    await await_until(lambda: [each for each in hub().connections.values() if each.is_registered])
    await await_until(lambda: PresenceManager("acme").is_online(1))
    (connection,) = hub().connections.values()
    connection.close(CloseCode.REVOKED, "revoked")
    await await_until(lambda: not hub().connections)
    await hub().settle()
    assert not await PresenceManager("acme").ais_online(1)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_sockets_that_never_say_connect_are_bounded(ana: Person, configure: Configure) -> None:
    configure(REALTIME_LIMITS={"connections_per_user": 2})
    async with open_socket(ana) as one, open_socket(ana) as two:
        await await_until(lambda: len(hub().connections) == 2)
        async with open_socket(ana) as three:
            assert await three.client.wait_closed() == CloseCode.OVERLOAD
        await one.client.connect()
        await two.client.connect()
