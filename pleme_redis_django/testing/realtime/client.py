"""A client of the protocol ``pleme.v1``, over a socket of its own or straight into a consumer."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from django.contrib.auth.models import AnonymousUser

from pleme_redis_django.realtime.consumers import RealtimeConsumer
from pleme_redis_django.realtime.frames import PING, SUBPROTOCOL
from pleme_redis_django.redis_state.pubsub.bus import close_bus
from pleme_redis_django.redis_state.server.connections import close_async_clients
from pleme_redis_django.testing.realtime.clock import hub_of_tests

TIMEOUT_SECONDS = 10.0

Application = Callable[..., Awaitable[None]]


class CommandFailed(AssertionError):
    """The server answered a command with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"error {error['code']}: {error['msg']}")
        self.code: int = error["code"]
        self.is_temporary: bool = error["temp"]


class SocketClosed(AssertionError):
    """The server closed the socket; ``code`` says why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the server closed the socket with {code}")
        self.code = code


class RealtimeClient:
    """Give it a way to send text; hand each received text to ``take``. Made by ``connected_client``."""

    def __init__(self, send_text: Callable[[str], Awaitable[None]]) -> None:
        self.pushes: deque[dict[str, Any]] = deque()
        self.answers_pings = True
        self.close_code: int | None = None
        self.conn = ""
        self._send_text = send_text
        self._replies: dict[int, dict[str, Any]] = {}
        self._ids = itertools.count(1)
        self._news = asyncio.Condition()

    # What a server sends

    async def take(self, text: str) -> None:
        """Sort one received frame into replies and pushes, and answer pings."""
        async with self._news:
            for line in text.split("\n"):
                value = json.loads(line)
                if "id" in value:
                    self._replies[value["id"]] = value
                elif value:
                    self.pushes.append(value)
            self._news.notify_all()
        if PING in text.split("\n") and self.answers_pings:
            await self.send_text(PING)

    async def closed(self, code: int) -> None:
        """Note that the server closed the socket."""
        async with self._news:
            self.close_code = code
            self._news.notify_all()

    # What a test does

    async def send_text(self, text: str) -> None:
        """Send a frame as it is."""
        await self._send_text(text)

    async def send(self, name: str, /, **fields: Any) -> None:
        """Send a command that wants no reply."""
        await self.send_text(json.dumps({name: fields}))

    async def command(self, name: str, /, **fields: Any) -> dict[str, Any]:
        """Send a command and return the body of its reply.

        Raises CommandFailed for an error reply, SocketClosed when there is none.
        """
        number = next(self._ids)
        await self.send_text(json.dumps({"id": number, name: fields}))
        await self._wait(lambda: number in self._replies)
        reply = self._replies.pop(number)
        if "error" in reply:
            raise CommandFailed(reply["error"])
        body: dict[str, Any] = reply[name]
        return body

    async def next_push(self, kind: str | None = None) -> dict[str, Any]:
        """Return the body of the next push (of a ``kind``: pub, pres, typing, resync, unsub, bye, error).

        Pushes of other kinds stay for later calls. Raises SocketClosed when none can come any more.
        """

        def find() -> dict[str, Any] | None:
            return next((push for push in self.pushes if kind is None or kind in push), None)

        await self._wait(find)
        push = find()
        assert push is not None
        self.pushes.remove(push)
        body: dict[str, Any] = push[kind or next(iter(push))]
        return body

    async def wait_closed(self) -> int:
        """Return the code with which the server closes the socket."""
        with suppress(SocketClosed):
            await self._wait(lambda: self.close_code is not None)
        assert self.close_code is not None
        return self.close_code

    async def connect(self) -> dict[str, Any]:
        """Send the first command; the reply says who and where this client is."""
        reply = await self.command("connect", client="testing")
        self.conn = reply["conn"]
        return reply

    async def subscribe(self, pattern: str, since: Any = None) -> dict[str, Any]:
        """Subscribe to a channel or pattern."""
        return await self.command("sub", ch=pattern, since=since)

    async def publish(self, channel: str, data: Any, **options: Any) -> dict[str, Any]:
        """Publish to a channel (``key``, ``echo``)."""
        return await self.command("pub", ch=channel, d=data, **options)

    async def join(self, room: str, **options: Any) -> dict[str, Any]:
        """Join a room (``meta``), or watch it (``join=False``), and return who is there."""
        return await self.command("pres", ch=room, **options)

    async def _wait(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS), self._news:
            while not condition():
                if self.close_code is not None:
                    raise SocketClosed(self.close_code)
                await self._news.wait()


class InProcessSocket:
    """One websocket between a RealtimeClient and an ASGI application of this event loop."""

    def __init__(self, application: Application, scope: dict[str, Any]) -> None:
        self.client = RealtimeClient(self._to_server)
        self.reads = asyncio.Event()
        self.reads.set()
        hub_of_tests()  # before the application asks for it
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.ensure_future(application(scope, self._inbox.get, self._from_server))

    def stall(self) -> None:
        """Stop reading: what the server sends from now on waits, as behind a full socket."""
        self.reads.clear()

    def resume(self) -> None:
        """Read again."""
        self.reads.set()

    async def disconnect(self, code: int = 1001) -> None:
        """Go away, and return when the consumer has ended."""
        await self._inbox.put({"type": "websocket.disconnect", "code": code})
        self.reads.set()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(self._task, TIMEOUT_SECONDS)

    async def vanish(self) -> None:
        """Go away without closing: the consumer is cancelled, as by a server that gives up."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _to_server(self, text: str) -> None:
        await self._inbox.put({"type": "websocket.receive", "text": text})

    async def _from_server(self, message: dict[str, Any]) -> None:
        if not self.reads.is_set():
            await self.reads.wait()
        if message["type"] == "websocket.send":
            await self.client.take(message["text"])
        elif message["type"] == "websocket.close":
            await self.client.closed(message.get("code", 1000))
            await self._inbox.put({"type": "websocket.disconnect", "code": message.get("code", 1000)})


@asynccontextmanager
async def open_socket(
    user: Any = None, *, application: Application | None = None, **scope: Any
) -> AsyncIterator[InProcessSocket]:
    """Yield an open socket of ``user`` (None: anonymous) whose client has sent no command yet."""
    socket = InProcessSocket(
        application or RealtimeConsumer.as_asgi(),
        {
            "type": "websocket",
            "path": "/ws/pleme/",
            "headers": [],
            "subprotocols": [SUBPROTOCOL],
            "user": user or AnonymousUser(),
            "session": None,
            **scope,
        },
    )
    try:
        yield socket
    finally:
        await socket.disconnect()


@asynccontextmanager
async def connected_client(
    user: Any = None, *, application: Application | None = None, **scope: Any
) -> AsyncIterator[RealtimeClient]:
    """Yield a client of ``user`` that is connected: ``async with connected_client(ana) as client``.

    ``application`` is a consumer's ``as_asgi()`` (default: RealtimeConsumer); further keywords go into
    the scope, for a product resolver or an ``authorize`` hook to read.
    """
    async with open_socket(user, application=application, **scope) as socket:
        await socket.client.connect()
        yield socket.client


async def close_realtime() -> None:
    """Close what the sockets of a test left open on its event loop; call it last in each."""
    await hub_of_tests().settle()
    await close_bus()
    await close_async_clients()
