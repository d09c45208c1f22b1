"""A TCP proxy in front of Redis that loses or holds back replies, at the test's command."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class LossyProxy:
    """Forwards every byte to Redis; a lost reply is a connection that breaks after the request."""

    def __init__(self, redis_url: str) -> None:
        self._server = urlsplit(redis_url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._served: list[socket.socket] = []
        self._silenced: list[socket.socket] = []
        self._lock = threading.Lock()
        self._to_lose: list[bytes] = []
        self._open = threading.Event()
        self._open.set()
        self.requests: list[bytes] = []

    @property
    def url(self) -> str:
        user = self._server.netloc.rpartition("@")
        return f"redis://{user[0]}{user[1]}127.0.0.1:{self._listener.getsockname()[1]}/0"

    def lose_replies(self, *to_requests_with: bytes) -> None:
        """Lose the reply to the next request with each of these texts; the server still acts on it."""
        with self._lock:
            self._to_lose.extend(to_requests_with)

    def hold_replies(self) -> None:
        """Keep every reply back until ``let_replies_go``."""
        self._open.clear()

    def let_replies_go(self) -> None:
        self._open.set()

    def silence_connections(self) -> None:
        """Let the connections of this moment be half open: they stay, and bring nothing any more."""
        self._silenced += self._served
        self._served = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.set()
        for each in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = self._connect()
        self._sockets += [client, server]
        self._served.append(client)
        lost = threading.Event()
        threading.Thread(target=self._requests, args=[client, server, lost], daemon=True).start()
        with contextlib.suppress(OSError):
            while reply := server.recv(65536):
                self._open.wait()
                if client in self._silenced:
                    continue
                if lost.is_set():
                    break
                client.sendall(reply)
            client.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> socket.socket:
        if self._server.scheme != "unix":
            return socket.create_connection((self._server.hostname, self._server.port or 6379))
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._server.path)
        return server

    def _requests(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while request := client.recv(65536):
                self.requests.append(request)
                with self._lock:
                    for text in self._to_lose:
                        if text in request:
                            self._to_lose.remove(text)
                            lost.set()
                            break
                server.sendall(request)
            server.shutdown(socket.SHUT_WR)
