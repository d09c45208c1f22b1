from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client

from pleme_redis_django.realtime.authorization import takes_patterns
from pleme_redis_django.realtime.control import arevoke_user, revalidate_user
from pleme_redis_django.testing.realtime import let_time_pass
from pleme_redis_django.testing.realtime.client import InProcessSocket, open_socket

pytestmark = pytest.mark.django_db(transaction=True)


@takes_patterns
def may_view_groups(scope: dict[str, Any], action: str, channel: str) -> bool:
    return bool(scope["user"].has_perm("auth.view_group"))


@pytest.fixture
def _logged_in() -> tuple[Any, Client]:
    user = get_user_model().objects.create_user("ana", password="first")
    client = Client()
    assert client.login(username="ana", password="first")
    return user, client


@asynccontextmanager
async def socket_of(logged_in: tuple[Any, Client]) -> AsyncIterator[InProcessSocket]:
    user, client = logged_in
    session = await sync_to_async(lambda: client.session)()
    async with open_socket(user, session=session) as socket:
        await socket.client.connect()
        yield socket


async def test_logout_closes_the_sockets_of_its_session(_logged_in: Any) -> None:
    user, _ = _logged_in
    other = Client()
    await sync_to_async(other.force_login)(user)
    async with socket_of(_logged_in) as socket, socket_of((user, other)) as elsewhere:
        await sync_to_async(_logged_in[1].logout)()
        assert await socket.client.wait_closed() == 4005
        await elsewhere.client.join("room:1")


async def test_deactivation_closes(_logged_in: Any) -> None:
    user, _ = _logged_in
    async with socket_of(_logged_in) as socket:
        user.is_active = False
        await user.asave()
        assert await socket.client.wait_closed() == 4005


async def test_deletion_closes(_logged_in: Any) -> None:
    async with socket_of(_logged_in) as socket:
        await sync_to_async(_logged_in[0].delete)()
        assert await socket.client.wait_closed() == 4005


async def test_changed_password_closes(_logged_in: Any) -> None:
    user, _ = _logged_in
    async with socket_of(_logged_in) as socket:
        user.set_password("second")
        await user.asave()
        assert await socket.client.wait_closed() == 4005


async def test_lost_permission_takes_the_subscription(
    _logged_in: Any, configure: Callable[..., None]
) -> None:
    rule = "tests.realtime.test_revalidation.may_view_groups"
    configure(
        CHANNELS={"order:*": {"subscribe": rule}, "room:*": {"presence": rule, "subscribe": "authenticated"}}
    )
    user, client = _logged_in
    group = await Group.objects.acreate(name="staff")
    await group.permissions.aadd(await Permission.objects.aget(codename="view_group"))
    await user.groups.aadd(group)
    user = await get_user_model().objects.aget(pk=user.pk)
    async with socket_of((user, client)) as socket:
        await socket.client.subscribe("order:*")
        await socket.client.subscribe("room:*")
        await socket.client.join("room:1")
        await user.groups.aremove(group)
        lost = [await socket.client.next_push("unsub") for _ in range(2)]
        assert [(each.get("ch"), each.get("pres")) for each in lost] == [("order:*", None), (None, "room:1")]
        assert (await socket.client.command("unsub", ch="room:*")) == {}


async def test_changed_group_reaches_its_members(_logged_in: Any, configure: Callable[..., None]) -> None:
    configure(CHANNELS={"order:*": {"subscribe": "tests.realtime.test_revalidation.may_view_groups"}})
    user, client = _logged_in
    group = await Group.objects.acreate(name="staff")
    permission = await Permission.objects.aget(codename="view_group")
    await group.permissions.aadd(permission)
    await user.groups.aadd(group)
    async with socket_of((await get_user_model().objects.aget(pk=user.pk), client)) as socket:
        await socket.client.subscribe("order:*")
        await group.permissions.aremove(permission)
        assert (await socket.client.next_push("unsub"))["ch"] == "order:*"


async def test_vanished_session_is_noticed(_logged_in: Any) -> None:
    async with socket_of(_logged_in) as socket:
        await sync_to_async(lambda: _logged_in[1].session.delete())()
        let_time_pass(61, product="acme")
        assert await socket.client.wait_closed() == 4109


async def test_update_without_a_signal_is_noticed(_logged_in: Any) -> None:
    async with socket_of(_logged_in) as socket:
        await get_user_model().objects.aupdate(is_active=False)
        let_time_pass(61, product="acme")
        assert await socket.client.wait_closed() == 4005


async def test_good_socket_survives_being_looked_at(_logged_in: Any) -> None:
    user, _ = _logged_in
    async with socket_of(_logged_in) as socket:
        await sync_to_async(revalidate_user)()
        await user.asave(update_fields=["first_name"])
        await socket.client.join("room:1")
        await socket.client.next_push("pres")
        await socket.client.command("unpres", ch="room:1")
        assert socket.client.close_code is None


async def test_revoke_user_closes_in_one_product(_logged_in: Any) -> None:
    user, client = _logged_in
    session = await sync_to_async(lambda: client.session)()
    async with socket_of(_logged_in) as socket, open_socket(user, session=session, tenant="other") as other:
        await other.client.connect()
        await arevoke_user(user.pk, product="acme")
        assert await socket.client.wait_closed() == 4005
        await other.client.join("room:1")
