"""pleme.js, from Node and in Chromium, against real web servers."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pleme_redis_django.redis_state.names import covers
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.presence.typing_indicators import TypingManager
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.server.redis_call import redis_client
from tests import browsers
from tests.realtime.web_servers import WebServer, cookie_of, web_server
from tests.waiting import await_until

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.process, pytest.mark.browser]

# Only how long a failure takes: node and a web server start meanwhile, and other tests beside them.
DEADLINE_SECONDS = 60
PATTERNS = ["a", "a:*", "a:*:b", "a:*:*", "a:b:*", "a:b"]
CHANNELS = ["a", "a:b", "a:c", "a:b:b", "a:b:c:b", "b:a", "ab:b"]


@pytest.fixture
def node() -> str:
    """The system's Node, or the one that playwright brings with it."""
    try:
        return browsers.node_program()
    except LookupError as error:
        pytest.skip(str(error))


class NodeClient:
    """The process of client_in_node.mjs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._unheard: defaultdict[str, deque[Any]] = defaultdict(deque)

    async def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def hear(self, name: str) -> Any:
        """Return what the next line of that name tells; others are kept, as they may come in any order."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self._unheard[name]:
            line = await self._next_line(deadline)
            assert line, f"node told nothing of {name!r}; of this it did: {dict(self._unheard)}"
            heard, detail = json.loads(line)
            assert heard != "covers is wrong", detail
            self._unheard[heard].append(detail)
        return self._unheard[name].popleft()

    async def _next_line(self, deadline: float) -> bytes:
        """Return the next line; empty when node has ended, or tells nothing until the deadline."""
        assert self._process.stdout is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline - time.monotonic()):
                return await self._process.stdout.readline()
        return b""

    async def hear_of(self, name: str, state: Any) -> None:
        """Return once ``state`` is told; states before it are passed over."""
        while (told := await self.hear(name)) != state:
            assert isinstance(told, type(state)), told

    async def hurry(self) -> None:
        """Try again within 0.4 s, not after up to 20 s as chance has it; test_client_scenarios has that."""
        await self.say("random 0.02")


@asynccontextmanager
async def node_client(node: str, server: WebServer, username: str) -> AsyncIterator[NodeClient]:
    script = Path(__file__).with_name("client_in_node.mjs")
    process = await asyncio.create_subprocess_exec(
        node,
        "--experimental-websocket",
        "--no-warnings",
        str(script),
        server.url,
        server.origin,
        await cookie_of(username),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    client = NodeClient(process)
    await client.say(json.dumps([[p, c, covers(p, c)] for p in PATTERNS for c in CHANNELS]))
    try:
        yield client
    finally:
        process.kill()
        await process.wait()
        process._transport.close()  # else it warns once its loop is closed


async def test_client_in_node(node: str, process_environment: dict[str, str]) -> None:
    with web_server("uvicorn", process_environment) as server:
        async with node_client(node, server, "ana") as client:
            user = await client.hear("online")
            assert await client.hear("error") == [103, "secret:*"]
            await client.hear_of("room", [user])
            await client.hurry()
            manager = PubSubManager("acme")
            await manager.apublish("order:1:paid", 1)
            assert await client.hear("event") == 1
            assert await client.hear("uncaught") == "of a listener"
            await client.say("publish")
            assert await client.hear("published") == 2
            TypingManager("acme").set_typing("order:1", 99)
            await client.hear_of("typing", ["99"])
            TypingManager("acme").clear_typing("order:1", 99)
            await client.hear_of("typing", [])
            await client.say("type")
            await await_until(lambda: TypingManager("acme").get_typing_users("order:1") == [user])
            PresenceManager("acme", "room:1").set_online(7)
            await client.hear_of("room", sorted([user, "7"]))
            port = server.port
            server.kill()
            await client.hear("offline")
            await manager.apublish("order:2", 2)
            await manager.apublish("order:3", 3)
            with _again(process_environment, port):
                await client.hear("online")
                assert [await client.hear("event") for _ in range(2)] == [2, 3]
                await client.say("history")
                assert await client.hear("history") == [1, 2, 3]
                redis_client().flushdb()
                await manager.apublish("order:4", 4)
                assert await client.hear("resync") == "lost"
                await client.say("close")
                assert await client.hear("closed") == 1000


async def test_clients_of_a_server_that_is_deployed_come_back_spread(
    node: str, process_environment: dict[str, str]
) -> None:
    with web_server("uvicorn", process_environment) as server:
        async with node_client(node, server, "ana") as client:
            await client.hear("online")
            await client.say("random 0.75")
            await client.say("publish")
            await client.hear("published")
            await asyncio.to_thread(server.stop)
            assert await client.hear("offline") == [1012, 3000]
            await client.hurry()
            with _again(process_environment, server.port):
                await client.hear("online")


async def test_client_does_not_come_back_when_told_so(node: str, process_environment: dict[str, str]) -> None:
    with web_server("uvicorn", process_environment) as server:
        async with node_client(node, server, "ana") as client:
            user = await client.hear("online")
            from pleme_redis_django.realtime.control import arevoke_user

            await arevoke_user(user)
            assert await client.hear("closed") == 4005


@asynccontextmanager
async def page_of(browser: Browser, server: WebServer, username: str) -> AsyncIterator[Page]:
    context = await browser.new_context()
    name, _, value = (await cookie_of(username)).partition("=")
    await context.add_cookies([{"name": name, "value": value, "url": server.origin}])
    page = await context.new_page()
    await page.goto(f"{server.origin}/pleme-page/")
    await page.evaluate(
        """async () => {
          const { Pleme } = await import("/static/pleme_redis_django/pleme.js");
          const pleme = (window.pleme = new Pleme());
          window.heard = { events: [], states: [], resyncs: [] };
          for (const name of ["online", "offline", "closed"]) pleme.on(name, () => heard.states.push(name));
          pleme.subscribe("order:*", (event) => heard.events.push(event.data),
            { onResync: (why) => heard.resyncs.push(why) });
          window.room = pleme.presence("room:1", { meta: { from: "browser" } });
          window.typing = pleme.typing("order:1");
        }"""
    )
    try:
        await page.wait_for_function("pleme.isOnline && room.users.size > 0")
        yield page
    finally:
        await context.close()


def _again(environment: dict[str, str], port: int) -> Any:
    return web_server("uvicorn", environment, port=port)


@pytest.mark.asyncio(loop_scope="session")
async def test_two_users_and_two_products_in_a_browser(
    chromium: Browser, process_environment: dict[str, str]
) -> None:
    with web_server("uvicorn", process_environment) as server:
        async with (
            page_of(chromium, server, "ana@acme") as ana,
            page_of(chromium, server, "ben@acme") as ben,
            page_of(chromium, server, "eve@other") as eve,
        ):
            await ana.wait_for_function("room.users.size === 2")
            assert await eve.evaluate("room.users.size") == 1
            await ben.evaluate("typing.keystroke()")
            await ana.wait_for_function("typing.users.length === 1")
            await ben.evaluate("pleme.publish('order:1', {total: 5})")
            await eve.evaluate("pleme.publish('order:1', 'of other')")
            for page, expected in ((ana, {"total": 5}), (ben, {"total": 5}), (eve, "of other")):
                await page.wait_for_function("heard.events.length > 0")
                assert await page.evaluate("heard.events") == [expected]
            await ana.wait_for_function("typing.users.length === 0")
            assert await eve.evaluate("typing.users.length") == 0


@pytest.mark.asyncio(loop_scope="session")
async def test_browser_goes_on_where_it_was_after_a_restart(
    chromium: Browser, process_environment: dict[str, str]
) -> None:
    manager = PubSubManager("acme")
    with web_server("uvicorn", process_environment) as server:
        async with page_of(chromium, server, "ana") as page:
            await manager.apublish("order:1", "before")
            await page.wait_for_function("heard.events.length === 1")
            await page.evaluate("void (Math.random = () => 0.02)")  # as NodeClient.hurry()
            server.stop()
            await page.wait_for_function("heard.states.includes('offline')")
            await page.evaluate("void (window.sent = pleme.publish('order:2', 'of the page'))")
            await manager.apublish("order:1", "meanwhile")
            with _again(process_environment, urlsplit(server.url).port or 0):
                await page.wait_for_function("heard.events.length === 3")
                assert await page.evaluate("heard.events") == ["before", "meanwhile", "of the page"]
                assert await page.evaluate("heard.resyncs") == []
                assert len(await page.evaluate("sent")) == 2
