"""The feed of the dashboards: one snapshot a scope, viewers judged again, nobody held up by another."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.models import Job
from pleme_redis_django.monitoring.snapshot import snapshot
from pleme_redis_django.realtime import dashboard_consumer as consumer_module
from pleme_redis_django.realtime import dashboard_feed as feed_module
from pleme_redis_django.realtime.dashboard_consumer import dashboard_feed
from pleme_redis_django.testing.realtime import let_time_pass
from tests.realtime.viewers import FAILS_FOR, LogIn, dashboard, next_snapshot, some_jobs
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_changed_scope_is_noticed(log_in: LogIn) -> None:
    await some_jobs("shop", "blog")
    user, client = await log_in("ana", products=("shop",))
    async with dashboard((user, client)) as socket:
        assert {one["product"] for one in (await next_snapshot(socket))["queues"]} == {"shop"}
        await sync_to_async(user.groups.set)([await Group.objects.acreate(name="blog")])

        async def products() -> set[str]:
            return {one["product"] for one in (await next_snapshot(socket))["queues"]}

        for _ in range(100):
            if await products() == {"blog"}:
                break
        assert await products() == {"blog"}


async def test_a_lost_permission_closes(log_in: LogIn) -> None:
    user, client = await log_in("ana", products=("shop",))
    async with dashboard((user, client)) as socket:
        await next_snapshot(socket)
        await sync_to_async(user.user_permissions.clear)()
        assert await socket.client.wait_closed() == 4003


async def test_who_is_no_longer_staff_is_noticed_without_a_signal(log_in: LogIn) -> None:
    async with dashboard(await log_in()) as socket:
        await next_snapshot(socket)
        await get_user_model().objects.aupdate(is_staff=False)
        let_time_pass(61)
        assert await socket.client.wait_closed() == 4003


async def test_a_viewer_that_cannot_be_judged_keeps_nothing_from_the_others(log_in: LogIn) -> None:
    FAILS_FOR.clear()
    eve, ben = await log_in("eve", products=("acme",)), await log_in("ben", products=("acme",))
    async with dashboard(eve) as first, dashboard(ben) as second:
        await next_snapshot(first)
        await next_snapshot(second)
        FAILS_FOR.add("eve")
        await eve[0].asave()
        assert await first.client.wait_closed() == 4003
        second.client.pushes.clear()
        await next_snapshot(second)
        async with dashboard(eve) as again:
            assert await again.client.wait_closed() == 4003
    FAILS_FOR.clear()


async def test_a_snapshot_that_fails_keeps_nothing_from_other_scopes(
    log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = feed_module.DashboardFeed._text

    def failing(feed: Any, scope: ProductScope) -> str:
        if scope == ProductScope(products=frozenset({"acme"})):
            raise LookupError
        return text(feed, scope)

    monkeypatch.setattr(feed_module.DashboardFeed, "_text", failing)
    names = ("acme", "beta", "gamma")
    viewers = [await log_in(f"of-{name}", products=(name,)) for name in names]
    async with dashboard(viewers[0]), dashboard(viewers[1]) as second, dashboard(viewers[2]) as third:
        await next_snapshot(second)
        await next_snapshot(third)


async def test_viewers_of_one_scope_share_a_snapshot(log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def counted(scope: Any, **options: Any) -> Any:
        made.append(scope)
        return snapshot(scope, **options)

    monkeypatch.setattr(feed_module, "INTERVAL_SECONDS", 3_600)
    ana = await log_in("ana", products=("shop",))
    async with dashboard(ana) as first:
        await await_until(lambda: first.client.pushes, "the round of the first viewer")
        async with dashboard(ana), dashboard(await log_in()) as third:
            await await_until(lambda: len(dashboard_feed(Job)) == 3, "three viewers")
            monkeypatch.setattr(consumer_module, "snapshot", counted)
            await dashboard_feed(Job).send_round()
            await await_until(lambda: third.client.pushes, "a snapshot")
    assert sorted(made, key=repr) == [ProductScope(products=None), ProductScope(products=frozenset({"shop"}))]


async def test_it_stops_when_nobody_looks(log_in: LogIn) -> None:
    async with dashboard(await log_in()) as socket:
        await next_snapshot(socket)
        assert dashboard_feed(Job).is_running
    await await_until(lambda: not dashboard_feed(Job).is_running, "the feed's end")
    async with dashboard(await log_in("again")) as socket:
        await next_snapshot(socket)
        await socket.vanish()
        await await_until(lambda: not dashboard_feed(Job).is_running, "the feed's end")


async def test_a_viewer_that_does_not_read_is_sent_the_newest_alone(log_in: LogIn) -> None:
    logged_in = await log_in()
    async with dashboard(logged_in) as slow, dashboard(logged_in) as other:
        await next_snapshot(slow)
        slow.stall()
        for _ in range(5):
            await next_snapshot(other)
        slow.client.pushes.clear()
        slow.resume()
        await await_until(lambda: len(slow.client.pushes) >= 1, "a snapshot")
        assert len(slow.client.pushes) < 5
