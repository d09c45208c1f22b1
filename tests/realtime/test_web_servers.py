from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import websockets
from channels_redis.core import RedisChannelLayer

from pleme_redis_django.realtime.channel_layer import channel_layer_entry
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.testing.servers.backing_services import BackingServices, redis_url_with_database
from pleme_redis_django.testing.servers.redis_server import RedisServer
from tests.processes import process_environment
from tests.realtime.web_servers import (
    SharedServers,
    WebServer,
    client_of,
    cookie_of,
    lasting_port,
    raw_socket,
    web_server,
)
from tests.waiting import await_until
from tests.worker_processes import WorkerProcesses

PUBLISH_AGAIN_SECONDS = 0.2
CLOSE_CODES_OF_SERVERS = {"uvicorn": 1012, "daphne": 1006}

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.process]


@pytest.fixture(scope="module")
def shared_servers(django_db_setup: None, backing_services: BackingServices) -> Iterator[SharedServers]:
    """One of each for the module: to start one takes longer than most of the tests."""
    servers = SharedServers(process_environment(redis_url_with_database(backing_services.redis_url, 0)))
    yield servers
    servers.stop()


@pytest.fixture(params=["uvicorn", "daphne"])
def server(
    request: pytest.FixtureRequest, transactional_db: None, shared_servers: SharedServers
) -> WebServer:
    return shared_servers.get(request.param)


@pytest.fixture
def uvicorn(transactional_db: None, shared_servers: SharedServers) -> WebServer:
    """Another process than that of ``server``."""
    return shared_servers.get("uvicorn", name="other")


async def test_two_processes_share_everything(server: WebServer, uvicorn: WebServer) -> None:
    async with client_of(server, "ana") as one, client_of(uvicorn, "ben") as other:
        await one.subscribe("order:*")
        await one.join("room:1")
        await other.join("room:1", meta={"name": "Ben"})
        joins = [await one.next_push("pres") for _ in range(2)]
        assert len(joins[1]["join"]) == 1
        await other.publish("order:created", {"id": 7})
        assert (await one.next_push("pub"))["d"] == {"id": 7}
        await other.send("typing", ch="order:7", on=True)
        assert (await one.next_push("typing"))["ch"] == "order:7"


async def test_products_share_nothing_over_real_sockets(server: WebServer) -> None:
    async with client_of(server, "ana@acme") as one, client_of(server, "eve@other") as other:
        await one.subscribe("order:*")
        await other.subscribe("order:*")
        await other.publish("order:1", "of other")
        await one.publish("order:1", "of acme")
        assert (await one.next_push("pub"))["d"] == "of acme"
        assert (await other.next_push("pub"))["d"] == "of other"
        assert len((await one.join("@online"))["users"]) == 1


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null"])
async def test_foreign_or_missing_origin_is_refused(server: WebServer, origin: str | None) -> None:
    cookie = await cookie_of("ana")
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with raw_socket(server, cookie, origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_anonymous_and_forged_sessions_are_refused(server: WebServer) -> None:
    for cookie in (None, "sessionid=forged"):
        async with raw_socket(server, cookie) as opened:
            assert json.loads(await opened.recv())["bye"]["code"] == 4001
            with pytest.raises(websockets.ConnectionClosed):
                await opened.recv()
            assert opened.close_code == 4001


@pytest.mark.parametrize(
    ("frame", "codes"),
    [
        (b"\x00\x01", {4000}),
        ("x" * (64 * 1024 * 1024), {1009, 1006}),
    ],
)
async def test_hostile_frames_end_only_their_own_socket(
    uvicorn: WebServer, frame: Any, codes: set[int]
) -> None:
    cookie = await cookie_of("eve")
    async with client_of(uvicorn, "ana") as other:
        async with raw_socket(uvicorn, cookie) as opened:
            with pytest.raises(websockets.ConnectionClosed):
                await opened.send(frame)
                while True:
                    await opened.recv()
            assert (opened.close_code or 1006) in codes
        await other.subscribe("order:*")
    assert uvicorn.resident_kib() < 300 * 1024


async def test_a_server_that_stops_says_so(server: WebServer) -> None:
    """As a deploy does it, with SIGTERM. The server closes before any hook of an application is asked."""
    async with raw_socket(server, await cookie_of("ana")) as opened:
        await opened.send('{"id":1,"connect":{}}')
        await opened.recv()
        await asyncio.to_thread(server.stop)
        with pytest.raises(websockets.ConnectionClosed):
            await opened.recv()
        assert opened.close_code == CLOSE_CODES_OF_SERVERS[server.kind]


async def test_invalid_utf8_closes_with_1007(uvicorn: WebServer) -> None:
    cookie = await cookie_of("eve")
    async with raw_socket(uvicorn, cookie) as opened:
        with pytest.raises(websockets.ConnectionClosed):
            await opened.send(b"\xff\xfe", text=True)
            await opened.recv()
        assert opened.close_code == 1007


async def test_ten_thousand_subscriptions_are_a_limit_and_no_load(
    process_environment: dict[str, str],
) -> None:
    """One socket asks for 10,000 channels, at a rate that is allowed here; others are served meanwhile."""
    limits = json.dumps(dict.fromkeys(("commands_per_second", "user_commands_per_second"), 100_000))
    answers: Counter[int] = Counter()
    with web_server("uvicorn", process_environment, TEST_REALTIME_LIMITS=limits) as server:
        async with (
            client_of(server, "ana") as other,
            raw_socket(server, await cookie_of("eve")) as opened,
        ):
            await other.subscribe("order:*")
            await opened.send('{"id":1,"connect":{}}')
            await opened.recv()
            before = server.resident_kib()
            for start in range(0, 10_000, 500):
                lines = (f'{{"id":{n + 2},"sub":{{"ch":"order:{n}"}}}}' for n in range(start, start + 500))
                await opened.send("\n".join(lines))
                await other.publish("order:other", start)
                assert (await other.next_push("pub"))["d"] == start
            while answers.total() < 10_000:
                for line in (await opened.recv()).split("\n"):
                    reply = json.loads(line)
                    answers[reply["error"]["code"] if "error" in reply else 0] += 1
            assert server.resident_kib() - before < 20 * 1024
    assert answers == {0: 128, 106: 10_000 - 128}


async def test_ten_thousand_subscriptions_at_once_end_the_socket(uvicorn: WebServer) -> None:
    """The same under the limits of the settings: too many commands (111), then over quota (4004)."""
    answers: Counter[int] = Counter()
    async with client_of(uvicorn, "ana") as other, raw_socket(uvicorn, await cookie_of("eve")) as opened:
        with suppress(websockets.ConnectionClosed):
            await opened.send('{"id":1,"connect":{}}')
            for start in range(0, 10_000, 500):
                lines = (f'{{"id":{n + 2},"sub":{{"ch":"order:{n}"}}}}' for n in range(start, start + 500))
                await opened.send("\n".join(lines))
        with suppress(websockets.ConnectionClosed):
            while True:
                for line in (await opened.recv()).split("\n"):
                    answers[json.loads(line).get("error", {}).get("code", 0)] += 1
        assert opened.close_code == 4004
        await other.subscribe("order:*")
    assert answers.keys() <= {0, 111}


async def test_groups_of_a_channel_layer_work_beside(
    server: WebServer, process_environment: dict[str, str]
) -> None:
    layer = RedisChannelLayer(**channel_layer_entry(process_environment["REDIS_URL"])["CONFIG"])
    url = server.url.replace("/pleme/", "/groups/")
    cookie = await cookie_of("ana")
    async with raw_socket(server, cookie, url=url) as opened:
        await opened.send('{"id":1,"connect":{}}')
        assert json.loads(await opened.recv())["connect"]["conn"]
        await layer.group_send("everyone", {"type": "group.told", "text": "hello"})
        assert await asyncio.wait_for(opened.recv(), 10) == "hello"
    await layer.flush()
    await layer.close_pools()


async def test_killed_process_leaves_once(process_environment: dict[str, str], uvicorn: WebServer) -> None:
    with web_server("uvicorn", process_environment, TEST_PRESENCE_TTL_SECONDS="3") as doomed:
        async with client_of(uvicorn, "ana") as watcher:
            await watcher.join("room:1", join=False)
            await watcher.join("@online", join=False)
            cookies = [await cookie_of(f"user{n}") for n in range(5)]
            sockets = [raw_socket(doomed, cookie) for cookie in cookies]
            for context in sockets:
                opened = await context.__aenter__()
                await opened.send('{"id":1,"connect":{}}')
                await opened.recv()
                await opened.send('{"id":2,"pres":{"ch":"room:1"}}')
                await opened.recv()
            doomed.kill()
            left: dict[str, list[str]] = {"room:1": [], "@online": []}
            while min(map(len, left.values())) < 5:
                push = await watcher.next_push("pres")
                left[push["ch"]] += push["leave"]
            assert await PresenceManager("acme").acount_online() == 1  # who watches
            assert await PresenceManager("acme", "room:1").acount_online() == 0
            assert all(len(set(users)) == 5 for users in left.values())
            await watcher.subscribe("order:*")
            assert not [push for push in watcher.pushes if push.get("pres", {}).get("leave")]
            for context in sockets:
                await context.__aexit__(None, None, None)


async def test_workers_announce_who_left_with_the_last_web_process(
    process_environment: dict[str, str], tmp_path: Path
) -> None:
    settings_module = {"DJANGO_SETTINGS_MODULE": "tests.realtime.server_settings"}
    workers = WorkerProcesses(("--processes", "2"), process_environment | settings_module, tmp_path / "log")
    users = {f"user{n}" for n in range(5)}
    try:
        with web_server("uvicorn", process_environment, TEST_PRESENCE_TTL_SECONDS="3") as only:
            async with AsyncExitStack() as stack:
                for user in sorted(users):
                    opened = await stack.enter_async_context(raw_socket(only, await cookie_of(user)))
                    await opened.send('{"id":1,"connect":{}}\n{"id":2,"pres":{"ch":"room:1"}}')
                    await opened.recv()
                await await_until(lambda: PresenceManager("acme", "room:1").count_online() == 5)
                with redis_client().pubsub(ignore_subscribe_messages=True) as heard:
                    heard.subscribe(*(keyspace.channel_bus("acme", head) for head in ("@online", "room")))
                    only.kill()
                    left = await asyncio.to_thread(_leaves, heard, 10)
                    # Whatever was announced twice would stand on the bus before this.
                    assert not PresenceManager("acme").sweep()
                    assert not PresenceManager("acme", "room:1").sweep()
                    assert not await asyncio.to_thread(_leaves, heard, 1, 0.2)
        assert {channel: len(users) for channel, users in left.items()} == {"@online": 5, "room:1": 5}
        assert len(set(left["@online"])) == 5
        assert PresenceManager("acme").count_online() == 0
    finally:
        workers.end()


def _leaves(heard: Any, count: int, seconds: float = 20.0) -> dict[str, list[str]]:
    """Return who left which room, once so many leaves were announced, or when the time is over."""
    left: dict[str, list[str]] = defaultdict(list)
    deadline = time.monotonic() + seconds
    while sum(map(len, left.values())) < count and time.monotonic() < deadline:
        if message := heard.get_message(timeout=0.1):
            pushed = json.loads(message["data"].partition(b"\n")[2])["pres"]
            left[pushed["ch"]] += pushed["leave"]
    return left


async def test_redis_killed_and_restarted_is_never_silent(settings: Any) -> None:
    with RedisServer(tcp=True) as redis_server:
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": redis_server.url()}
        with web_server("uvicorn", process_environment(redis_server.url())) as server:
            async with client_of(server, "ana") as client:
                await client.subscribe("order:*")
                manager = PubSubManager("acme")
                await manager.apublish("order:created", "before")
                assert (await client.next_push("pub"))["d"] == "before"
                redis_server.kill()
                redis_server.start()
                await _publish_until_heard(manager, client)


async def _publish_until_heard(manager: PubSubManager, client: Any) -> None:
    """The restarted server knows nothing: the client is told, and then gets what follows."""
    seen_resync = False
    for n in range(400):
        await manager.apublish("order:created", n)
        with_deadline = asyncio.wait_for(client.next_push(), PUBLISH_AGAIN_SECONDS)
        try:
            push = await with_deadline
        except TimeoutError:
            continue
        seen_resync = seen_resync or ("pos" in push and "d" not in push)
        if "d" in push:
            assert seen_resync, "messages were lost, and nobody said so"
            return
    raise AssertionError("the subscription did not come back")


async def test_client_that_never_reads_costs_little_and_delays_nobody(server: WebServer) -> None:
    """A socket that is not read: others are served as before, and memory stays."""
    manager = PubSubManager("acme")
    cookie = await cookie_of("eve")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**12)
    writer.write(_handshake(server, cookie))
    await reader.readuntil(b"\r\n\r\n")
    writer.write(_masked('{"id":1,"connect":{}}\n{"id":2,"sub":{"ch":"order:*"}}'))
    async with client_of(server, "ana") as other:
        await other.subscribe("order:*")
        before = server.resident_kib()
        for n in range(2000):
            await manager.apublish("order:created", {"n": n, "x": "y" * 8000})
            assert (await other.next_push("pub"))["d"]["n"] == n
        assert server.resident_kib() - before < 30 * 1024
    writer.transport.abort()


def _handshake(server: WebServer, cookie: str) -> bytes:
    lines = [
        "GET /ws/pleme/ HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: pleme.v1",
        f"Origin: {server.origin}",
        f"Cookie: {cookie}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _masked(text: str) -> bytes:
    """Return one text frame of a client (RFC 6455, section 5), masked with zeros."""
    payload = text.encode()
    assert len(payload) < 126
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which ports it chooses from")
def test_a_server_can_come_back_to_its_port() -> None:
    """Since the system gives it to nobody meanwhile, as it does with those that it chooses."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not {lasting_port() for _ in range(50)} & set(range(first, last + 1))
