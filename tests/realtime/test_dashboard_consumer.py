"""The dashboard's websocket: who may look, what they see, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from pleme_redis_django.monitoring.snapshot import snapshot
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import async_redis_client
from pleme_redis_django.testing.realtime.client import connected_client
from tests.metrics.measuring import measure_now
from tests.realtime.viewers import LogIn, dashboard, next_snapshot, some_jobs
from tests.rows import make_job
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)


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


async def test_logout_closes(log_in: LogIn) -> None:
    user, client = await log_in()
    async with dashboard((user, client)) as socket:
        await next_snapshot(socket)
        await sync_to_async(client.logout)()
        assert await socket.client.wait_closed() == 4005


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
