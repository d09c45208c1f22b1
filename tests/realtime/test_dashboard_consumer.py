"""The dashboard's websocket: who may look, what they see, and for how long."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.test import Client

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.models import Job
from pleme_redis_django.monitoring.snapshot import snapshot
from pleme_redis_django.realtime import dashboard_feed as feed_module
from pleme_redis_django.realtime.dashboard_consumer import DashboardConsumer
from pleme_redis_django.realtime.dashboard_feed import dashboard_feed
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import async_redis_client
from pleme_redis_django.testing.realtime import let_time_pass
from pleme_redis_django.testing.realtime.client import InProcessSocket, connected_client, open_socket
from tests.metrics.measuring import measure_now
from tests.rows import make_job
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

LogIn = Callable[..., Coroutine[Any, Any, tuple[Any, Client]]]


FAILS_FOR: set[str] = set()


def products_of(user: Any) -> Any:
    name = user.get_username()
    if name in FAILS_FOR:
        raise LookupError("the hook of this project fails")
    return None if name == "all" else [group.name for group in user.groups.all()]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "INTERVAL_SECONDS", 0.05)


@pytest.fixture
def log_in(configure: Callable[..., None]) -> LogIn:
    configure(DASHBOARD_PRODUCTS="tests.realtime.test_dashboard_consumer.products_of")

    @sync_to_async
    def log_in(
        name: str = "all", *, may_view: bool = True, is_staff: bool = True, products: tuple[str, ...] = ()
    ) -> tuple[Any, Client]:
        user: Any = get_user_model().objects.create_user(name, is_staff=is_staff)
        if may_view:
            user.user_permissions.add(
                Permission.objects.get(
                    codename="view_job",
                    content_type__app_label="pleme_redis_django",
                    content_type__model="job",
                )
            )
        user.groups.set([Group.objects.get_or_create(name=product)[0] for product in products])
        client = Client()
        client.force_login(user)
        return get_user_model().objects.get(pk=user.pk), client

    return log_in


@asynccontextmanager
async def dashboard(
    logged_in: tuple[Any, Client] | None = None, **scope: Any
) -> AsyncIterator[InProcessSocket]:
    user, session = AnonymousUser(), None
    if logged_in is not None:
        user = logged_in[0]
        session = await sync_to_async(lambda: logged_in[1].session)()
    async with open_socket(
        user, application=DashboardConsumer.as_asgi(), session=session, subprotocols=[], **scope
    ) as socket:
        yield socket


async def next_snapshot(socket: InProcessSocket) -> dict[str, Any]:
    """Return the newest snapshot that comes after this call."""
    socket.client.pushes.clear()
    await await_until(lambda: any("queues" in push for push in socket.client.pushes), "a snapshot")
    return next(push for push in socket.client.pushes if "queues" in push)


@sync_to_async
def some_jobs(*products: str) -> None:
    for product in products:
        make_job(product=product, queue_name="emails")
    measure_now()


async def test_a_viewer_gets_the_snapshot_that_polling_gets(log_in: LogIn) -> None:
    await some_jobs("shop", "blog")
    async with dashboard(await log_in()) as socket:
        pushed = await next_snapshot(socket)
        polled = (await sync_to_async(snapshot)()).as_json()
        assert pushed.keys() == polled.keys()
        assert pushed["cards"] | {"oldest_ready_seconds": 0} == polled["cards"] | {"oldest_ready_seconds": 0}
        assert {one["product"] for one in pushed["queues"]} == {"shop", "blog"}


async def test_figures_move_without_being_asked_for(log_in: LogIn) -> None:
    await some_jobs("shop")
    async with dashboard(await log_in()) as socket:
        assert (await next_snapshot(socket))["cards"]["ready"] == 1
        await sync_to_async(make_job)(product="shop")
        await sync_to_async(measure_now)()
        # A round that was on its way may still bring the figure before.
        pushes = socket.client.pushes
        await await_until(lambda: pushes and pushes[-1]["cards"]["ready"] == 2, "the new figure")


@pytest.mark.parametrize(
    ("person", "code"),
    [({"is_staff": False}, 4003), ({"may_view": False}, 4003), (None, 4001)],
    ids=["no staff", "no permission", "nobody"],
)
async def test_who_may_not_look_is_refused(log_in: LogIn, person: dict[str, Any] | None, code: int) -> None:
    await some_jobs("shop")
    async with dashboard(None if person is None else await log_in("ana", **person)) as socket:
        assert await socket.client.wait_closed() == code
        assert not any("queues" in push for push in socket.client.pushes)


async def test_a_page_of_another_table_gets_no_figures_of_this_one(
    log_in: LogIn, caplog: pytest.LogCaptureFixture
) -> None:
    """A DashboardAdmin of another job model may name the path of this consumer by mistake."""
    await some_jobs("shop")
    viewer = await log_in()
    async with dashboard(viewer, query_string=b"model=workload.emailjob") as socket:
        assert await socket.client.wait_closed() == 4003
        assert not any("queues" in push for push in socket.client.pushes)
    [line] = [record.getMessage() for record in caplog.records if "workload.emailjob" in record.getMessage()]
    assert "those of pleme_redis_django.job are" in line
    assert "Mount a DashboardConsumer with its job_model there" in line
    async with dashboard(viewer, query_string=b"model=pleme_redis_django.job") as socket:
        await next_snapshot(socket)


async def test_a_scope_sees_its_products_alone(log_in: LogIn) -> None:
    await some_jobs("shop", "blog")
    async with (
        dashboard(await log_in("ana", products=("shop",))) as ana,
        dashboard(await log_in()) as everyone,
    ):
        assert {one["product"] for one in (await next_snapshot(ana))["queues"]} == {"shop"}
        assert {one["product"] for one in (await next_snapshot(everyone))["queues"]} == {"shop", "blog"}
        assert {one["product"] for one in (await next_snapshot(ana))["queues"]} == {"shop"}


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


async def test_logout_closes(log_in: LogIn) -> None:
    user, client = await log_in()
    async with dashboard((user, client)) as socket:
        await next_snapshot(socket)
        await sync_to_async(client.logout)()
        assert await socket.client.wait_closed() == 4005


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
            monkeypatch.setattr(feed_module, "snapshot", counted)
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


async def test_looking_brings_nobody_online(log_in: LogIn) -> None:
    user, client = await log_in()
    async with dashboard((user, client)) as socket:
        await next_snapshot(socket)
        assert not await PresenceManager("acme").ais_online(user.pk)


async def test_the_heartbeats_of_others_go_on_beside_it(log_in: LogIn, ana: Any) -> None:
    async with dashboard(await log_in()) as socket, connected_client(ana) as client:
        await next_snapshot(socket)
        await client.command("pres", ch="room:1")
        await hub().presence.heartbeat()
        assert await PresenceManager("acme").ais_online(ana.pk)
        assert await async_redis_client().zrange(keyspace.presence_products(), 0, -1) == [b"acme"]


async def test_what_a_client_sends_is_not_read(log_in: LogIn) -> None:
    async with dashboard(await log_in()) as socket:
        for text in ("{}", "no JSON", '{"id":1,"sub":{"ch":"order:*"}}'):
            await socket.client.send_text(text)
        await next_snapshot(socket)
        assert socket.client.close_code is None
