"""Channel: JSON messages between a worker and a process in which an attempt runs apart, one a line."""

from __future__ import annotations

import json
import select
import socket
import threading
from typing import Any

from pleme_redis_django.exceptions import PlemeError

_PART_BYTES = 256 * 1024
EXIT_CHANNEL_CLOSED = 6
"""Of a process that has lost its worker while it ran an attempt."""

Message = dict[str, Any]


class ChannelClosed(PlemeError):
    """The other side is gone."""


class BadMessage(PlemeError):
    """What came is no message, or is longer than one may be."""


class Channel:
    """One end of a pair of sockets; anybody may send, and one thread receives."""

    def __init__(self, end: socket.socket, *, max_bytes: int) -> None:
        self._socket = end
        self._max_bytes = max_bytes
        self._sending = threading.Lock()
        self._unread = bytearray()
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    def send(self, message: Message) -> None:
        """Send a message. Raises ChannelClosed."""
        line = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        with self._sending:
            try:
                self._socket.sendall(line)
            except OSError as error:
                raise ChannelClosed(str(error)) from None

    def receive(self, timeout_seconds: float) -> Message | None:
        """Return the next message, None when none has come in time. Raises ChannelClosed or BadMessage."""
        looked_at = 0
        while (end := self._unread.find(b"\n", looked_at)) < 0:
            looked_at = len(self._unread)
            if looked_at > self._max_bytes:
                raise BadMessage(f"a message of more than {self._max_bytes:,} bytes")
            if not self._poll.poll(timeout_seconds * 1000):
                return None
            self._unread += self._read()
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadMessage(f"{line[:80]!r}: {error}") from None
        if not isinstance(message, dict):
            raise BadMessage(repr(line[:80]))
        return message

    def _read(self) -> bytes:
        try:
            data = self._socket.recv(_PART_BYTES)
        except OSError as error:
            raise ChannelClosed(str(error)) from None
        if not data:
            raise ChannelClosed("it was closed")
        return data

    def close(self) -> None:
        """Close this end: the other side reads to its end, and closes too."""
        self._socket.close()
