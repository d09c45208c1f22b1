"""What happens to users becomes orders to the sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from pleme_redis_django.realtime.authorization import takes_patterns
from pleme_redis_django.realtime.user_changes import connect_receivers
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import redis_client
from tests.realtime.opening import create_user, heard, opened

pytestmark = pytest.mark.django_db(transaction=True)

Configure = Callable[..., None]

HERE = "tests.realtime.test_user_changes"


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


@pytest.mark.django_db(transaction=True, databases=["default", "sqlite"])
def test_an_order_waits_for_the_commit_in_the_users_own_database(_no_orders: None) -> None:
    """Sent before it, a process would look at the user as it was, and at nothing after it."""
    user = get_user_model().objects.using("sqlite").create(username="ana")
    with transaction.atomic(using="sqlite"):
        user.save(using="sqlite")
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
    class Member(get_user_model()):
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
