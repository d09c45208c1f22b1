"""Test a project's realtime sockets, on a real Redis and without a web server.

- ``connected_client(user)``: a client of ``pleme.v1`` that talks to the consumer in this event loop
- ``assert_published("order:*")``: what a block of code published
- ``let_time_pass(seconds)``: presence, typing and sockets grow older, without waiting
- ``cut_redis_connections()``: every connection to Redis breaks, as in a failover
"""

from __future__ import annotations

from pleme_redis_django.testing.realtime.client import (
    CommandFailed,
    RealtimeClient,
    SocketClosed,
    close_realtime,
    connected_client,
)
from pleme_redis_django.testing.realtime.faults import cut_redis_connections, let_time_pass
from pleme_redis_django.testing.realtime.published import Published, assert_published

__all__ = [
    "CommandFailed",
    "Published",
    "RealtimeClient",
    "SocketClosed",
    "assert_published",
    "close_realtime",
    "connected_client",
    "cut_redis_connections",
    "let_time_pass",
]
