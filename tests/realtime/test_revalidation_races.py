"""What open sockets lose when something changes, also while something else is on its way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.realtime.authorization import takes_patterns
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.control import (
    arevalidate_product,
    arevalidate_user,
)
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.realtime.revalidation import _judge
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.testing.realtime import CommandFailed, let_time_pass
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.opening import create_user, heard, opened, session_of
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

Configure = Callable[..., None]

HERE = "tests.realtime.test_revalidation_races"


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


class SlowResolver:
    """Lets the first look wait, between what it has loaded and what it changes."""

    asked: asyncio.Event
    answer: asyncio.Event
    is_slow = False


async def slow_resolver(scope: dict[str, Any]) -> str:
    if SlowResolver.is_slow:
        SlowResolver.is_slow = False
        SlowResolver.asked.set()
        await SlowResolver.answer.wait()
    return "acme"


async def test_older_look_does_not_become_what_it_loaded_before_a_newer(configure: Configure) -> None:
    """The user that it loaded was still staff; were it taken over, Ben could subscribe again."""
    SlowResolver.asked, SlowResolver.answer = asyncio.Event(), asyncio.Event()
    configure(
        PRODUCT_RESOLVER=f"{HERE}.slow_resolver", CHANNELS={"room:*": {"subscribe": f"{HERE}.is_staff"}}
    )
    ben = await create_user("ben", is_staff=True)
    async with opened(ben) as socket:
        await heard()
        SlowResolver.is_slow = True
        let_time_pass(61, product="acme")
        await SlowResolver.asked.wait()
        ben.is_staff = False
        await ben.asave()
        (connection,) = hub().sockets.of_user(str(ben.pk))
        await await_until(lambda: not connection.standing.scope["user"].is_staff)
        SlowResolver.answer.set()
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
        follow = hub().heads._feeds.follow

        async def slow_follow(*args: Any) -> Any:
            following.set()
            await go_on.wait()
            return await follow(*args)

        monkeypatch.setattr(hub().heads._feeds, "follow", slow_follow)
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
        assert not hub().heads._routes
        assert not await PresenceManager("acme", "room:staff").ais_online(ben.pk)


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


def orders() -> list[Any]:
    return [json.loads(fields[b"order"]) for _, fields in redis_client().xrange(keyspace.control_log())]


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
