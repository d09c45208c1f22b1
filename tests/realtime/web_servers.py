"""Web servers as processes, and clients with a session that talk to them over real sockets."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import websockets
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import Client

from pleme_redis_django.realtime.frames import SUBPROTOCOL
from pleme_redis_django.testing.realtime import RealtimeClient
from pleme_redis_django.testing.servers.managed_server import free_port
from tests.processes import ending_with_this_process
from tests.waiting import wait_until

# 10080 is the highest port that browsers refuse.
FIRST_PORT = 10_100
# Not the generator that pytest-randomly seeds alike in every worker.
_random = random.SystemRandom()


def lasting_port() -> int:
    """Return a free loopback port to which a server can come back after it was killed.

    One that the system chooses may by then be that of another worker's server, or of any connection.
    """
    try:
        ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:  # not Linux
        ephemeral = FIRST_PORT
    candidates = range(FIRST_PORT, ephemeral)
    for port in _random.sample(candidates, min(100, len(candidates))):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    return free_port()


class WebServer:
    """uvicorn or daphne on a loopback port."""

    def __init__(
        self, kind: str, environment: dict[str, str], port: int | None, application: str, settings_module: str
    ) -> None:
        self.kind = kind
        self.port = port or lasting_port()
        self.url = f"ws://127.0.0.1:{self.port}/ws/pleme/"
        self.origin = f"http://127.0.0.1:{self.port}"
        commands = {
            "uvicorn": [
                "uvicorn", "--host", "127.0.0.1", "--port", str(self.port), "--log-level", "warning",
                "--ws-max-size", "65536", "--lifespan", "off",
            ],
            "daphne": ["daphne", "-b", "127.0.0.1", "-p", str(self.port), "-v", "0"],
        }  # fmt: skip
        self.process = subprocess.Popen(
            ending_with_this_process([sys.executable, "-W", "ignore", "-m", *commands[kind], application]),
            env={**environment, "DJANGO_SETTINGS_MODULE": settings_module},
        )
        wait_until(self._accepts, f"{kind}'s port")

    def _accepts(self) -> bool:
        assert self.process.poll() is None, "the web server ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def resident_kib(self) -> int:
        """Return the memory of the process, in KiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as a deploy does; a server that takes longer than 5 s is killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def web_server(
    kind: str,
    environment: dict[str, str],
    *,
    port: int | None = None,
    application: str = "tests.realtime.asgi:application",
    settings_module: str = "tests.realtime.server_settings",
    **more: str,
) -> Iterator[WebServer]:
    """Start a web server, and stop it at the end."""
    server = WebServer(kind, {**os.environ, **environment, **more}, port, application, settings_module)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


class SharedServers:
    """Web servers that tests share; one that a test has stopped is started anew for the next."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._stack = ExitStack()
        self._running: dict[str, WebServer] = {}

    def get(self, kind: str, *, name: str = "") -> WebServer:
        """Return the server of that kind and name."""
        key = f"{kind} {name}"
        if key not in self._running or self._running[key].process.poll() is not None:
            self._running[key] = self._stack.enter_context(web_server(kind, self._environment))
        return self._running[key]

    def stop(self) -> None:
        self._stack.close()


async def cookie_of(username: str) -> str:
    """Return the session cookie of a user, who is created when there is none."""
    return await sync_to_async(_cookie_of)(username)


def _cookie_of(username: str) -> str:
    user, _ = get_user_model().objects.get_or_create(username=username)
    client = Client()
    client.force_login(user)
    # This is a thread's connection, which would keep the test database from being dropped.
    connections.close_all()
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


@asynccontextmanager
async def raw_socket(server: WebServer, cookie: str | None, **options: Any) -> AsyncIterator[Any]:
    """Yield an open websocket that has sent nothing."""
    headers = {"Cookie": cookie} if cookie else {}
    defaults: dict[str, Any] = {
        "origin": server.origin,
        "subprotocols": [SUBPROTOCOL],
        "additional_headers": headers,
        "proxy": None,
        "max_size": None,
    }
    async with websockets.connect(options.pop("url", server.url), **{**defaults, **options}) as opened:
        yield opened


@asynccontextmanager
async def client_of(server: WebServer, username: str, **options: Any) -> AsyncIterator[RealtimeClient]:
    """Yield a connected client of a user."""
    cookie = await cookie_of(username)
    async with raw_socket(server, cookie, **options) as opened:
        client = RealtimeClient(opened.send)

        async def read() -> None:
            try:
                async for text in opened:
                    await client.take(text)
            except websockets.ConnectionClosed:
                pass
            await client.closed(opened.close_code or 1006)

        reader = asyncio.create_task(read())
        try:
            await client.connect()
            yield client
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
