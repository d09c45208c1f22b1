"""Many sockets in one process that count what they get, and when; for bench_realtime.

A message carries the time at which it was due (T<monotonic>T), so that a late send counts as delay.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time

MARK = re.compile(rb"T(\d+\.\d+)T")
KEEP = 64


@dataclasses.dataclass(slots=True)
class Tally:
    """What all sockets of a run received."""

    delays: list[float] = dataclasses.field(default_factory=list)
    ready: int = 0


class Receiver(asyncio.Protocol):
    """One websocket, read without decoding frames: only marks are looked for."""

    def __init__(self, tally: Tally, request: bytes, hello: bytes, ready_marks: list[bytes]) -> None:
        self._tally = tally
        self._request = request
        self._hello = hello
        self._ready_marks = ready_marks
        self._rest = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if self._ready_marks:
            while self._ready_marks and self._ready_marks[0] in data:
                if self._ready_marks.pop(0) == b"\r\n\r\n" and self._hello and self.transport:
                    self.transport.write(self._hello)
            self._tally.ready += not self._ready_marks
        now, end = time.monotonic(), 0
        for found in MARK.finditer(data):
            self._tally.delays.append(now - float(found[1]))
            end = found.end()
        self._rest = data[max(end, len(data) - KEEP) :]


def request(port: int, path: str, subprotocol: str = "") -> bytes:
    """Return a websocket handshake (RFC 6455)."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    if subprotocol:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode()


def masked(text: str) -> bytes:
    """Return a short text frame as a client sends it, masked with zeros."""
    payload = text.encode()
    assert len(payload) < 126
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def message(due: float, size: int) -> str:
    """Return a text of ``size`` characters that carries its due time."""
    return f"T{due:.6f}T".ljust(size, ".")
