"""A Redis of our own, in memory only: what it holds is gone when it stops, which production has to survive too."""

from __future__ import annotations

import secrets
import signal
import socket
from pathlib import Path

from pleme_redis_django.testing.servers.managed_server import ManagedServer
from pleme_redis_django.testing.servers.programs import find_redis

DATABASES = 16
PING_TIMEOUT_SECONDS = 1.0


class RedisServer(ManagedServer):
    """Redis on a unix socket that only this user can reach (``tcp``: also a loopback port).

    ``settings`` are further redis.conf settings, for instance ``{"maxmemory": "10mb"}``.
    """

    title = "Redis"
    stop_signal = signal.SIGTERM

    def __init__(self, *, tcp: bool = False, settings: dict[str, str] | None = None) -> None:
        super().__init__(tcp=tcp)
        self._settings = settings or {}
        self._program: Path | None = None
        self._password = secrets.token_urlsafe(18)

    def url(self, database: int = 0) -> str:
        """Return the URL of a database (0 to 15), over the unix socket, or over TCP when asked for."""
        if self.port is not None:
            return f"redis://:{self._password}@127.0.0.1:{self.port}/{database}"
        return f"unix://{self._socket}?db={database}"

    def kill(self) -> None:
        """SIGKILL the server; ``start()`` brings it back empty, on the same address."""
        self.halt(signal.SIGKILL)

    @property
    def _socket(self) -> Path:
        return self.folder / "redis.sock"

    def _prepare(self) -> None:
        self._program = self._program or find_redis()

    def _command(self) -> list[str]:
        settings = {
            "port": str(self.port or 0),
            "bind": "127.0.0.1",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "databases": str(DATABASES),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
            **({"requirepass": self._password} if self.tcp else {}),
            **self._settings,
        }
        return [
            str(self._program),
            *(part for name, value in settings.items() for part in (f"--{name}", value)),
        ]

    def _answers(self) -> bool:
        # The engine's Redis client lives in redis_state, above nothing that this module may import.
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(PING_TIMEOUT_SECONDS)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
