"""The limits on what one client may use."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pleme_redis_django.conf import SETTING_NAME, forget_on_change, get_settings
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.wording import did_you_mean


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """Limits of the realtime sockets: ``PLEME_REDIS["REALTIME_LIMITS"]``. Each is a whole number from 1 on."""

    frame_bytes: int = 65_536
    """Largest frame a client may send, in bytes of UTF-8. Tell the web server too: ``uvicorn --ws-max-size``."""
    commands_per_second: int = 30
    """Commands of one connection, sustained; twice as many in a burst."""
    user_commands_per_second: int = 100
    """Commands of one user over all connections to one process, sustained; twice as many in a burst."""
    refusals: int = 100
    """How many commands and frames may be refused for their rate, size or form before the connection is closed
    (4004); they are forgotten over time, all of them in ten minutes."""
    subscriptions: int = 128
    """Channels and patterns of one connection."""
    rooms: int = 32
    """Presence rooms of one connection."""
    connections_per_user: int = 20
    """Connections of one user to one product, over all processes."""
    silent_anonymous: int = 500
    """Anonymous sockets of one process that have not sent ``connect``; beyond it, the oldest is closed (4100)."""
    room_members: int = 1000
    """Users present in one room."""
    buffered_pushes: int = 1000
    """Pushes that wait for one slow client; beyond it they are dropped, and the client is told to resync."""
    buffered_characters: int = 1024 * 1024
    """The same, in characters."""
    unheard_characters: int = 4 * 1024 * 1024
    """Characters sent to a client since it last sent something; beyond it, nothing is sent until it answers a ping."""
    send_timeout_seconds: int = 10
    """How long one send may wait for a client that does not read, before the client is closed (4108)."""
    connect_timeout_seconds: int = 10
    """How long an open socket may take to send its ``connect`` command."""
    handshakes: int = 16
    """Sockets of one process whose users, sessions and products are loaded at once; the others queue."""
    handshake_wait_seconds: int = 3
    """How long a socket may queue for that, before it is closed (4100)."""
    ping_seconds: int = 25
    """How often the server pings a client that sends nothing."""
    pong_seconds: int = 8
    """How long a client may be silent after a ping, before it is closed (4201)."""
    recovery_messages: int = 300
    """Missed messages of a subscription that a client may fetch; beyond it, the client has to reload its state."""


def build_limits(raw: Mapping[str, Any]) -> ClientLimits:
    """Return the limits with what the settings change.

    Raises InvalidSettings for an unknown name, and for a value that is not a whole number of 1 or more.
    """
    known = {field.name for field in dataclasses.fields(ClientLimits)}
    for name, value in raw.items():
        if name not in known:
            hint = did_you_mean(name, known, otherwise=f"Known keys: {', '.join(sorted(known))}.")
            raise InvalidSettings(f'{SETTING_NAME}["REALTIME_LIMITS"] has the unknown key {name!r}. {hint}')
        if type(value) is not int or value < 1:
            raise InvalidSettings(
                f'{SETTING_NAME}["REALTIME_LIMITS"][{name!r}] is {value!r}. Accepted: a whole number of 1 or more.'
            )
    return ClientLimits(**raw)


@lru_cache(maxsize=1)
def get_limits() -> ClientLimits:
    """Return the configured limits, read once and again after ``setting_changed``."""
    return build_limits(get_settings().realtime_limits)


forget_on_change(get_limits.cache_clear)
