"""Tell every process to look at, or to close, the sockets of a user or of a session.

It goes over the hub's own Redis connection: one publish, whatever the number of sockets. A channel layer
would need a group per user, whose members it forgets after a day.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Literal

from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.redis_state import keyspace
from pleme_redis_django.redis_state.channel_names import validate_user_id
from pleme_redis_django.redis_state.connections import HINTS, async_redis_client, redis_client
from pleme_redis_django.redis_state.outages import outages_as_unavailable

if TYPE_CHECKING:
    from pleme_redis_django.realtime.connection import Connection


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One order to every hub; without user and session it concerns every socket."""

    operation: Literal["close", "revalidate"]
    user_id: str | None = None
    session: str | None = None
    """Digest of a session key: the key itself would open the session to who reads Redis."""
    product: str | None = None
    code: int = CloseCode.REVOKED
    why: str = "revoked"

    def concerns(self, connection: Connection) -> bool:
        """Tell whether a socket is meant."""
        return (
            (self.user_id is None or connection.user_id == self.user_id)
            and (self.product is None or connection.product == self.product)
            and (self.session is None or session_digest(connection.session_key) == self.session)
        )


def session_digest(session_key: str | None) -> str | None:
    """Return what stands for a session key in an order."""
    return None if session_key is None else keyspace.digest(session_key)


def parse_control(raw: bytes) -> Control:
    """Return the order in a message of the control bus."""
    return Control(**json.loads(raw))


def send_control(control: Control) -> None:
    """Send an order to every process. Raises RedisUnavailable."""
    with outages_as_unavailable():
        redis_client(HINTS).publish(keyspace.control_bus(), json.dumps(dataclasses.asdict(control)))


async def asend_control(control: Control) -> None:
    """Do what ``send_control`` does, on the running event loop."""
    with outages_as_unavailable():
        await async_redis_client().publish(keyspace.control_bus(), json.dumps(dataclasses.asdict(control)))


def revoke_user(user_id: object, *, product: str | None = None, why: str = "revoked") -> None:
    """Close every socket of a user (4005), in one product or in all, in every process. Raises RedisUnavailable."""
    send_control(Control(operation="close", user_id=validate_user_id(user_id), product=product, why=why))


async def arevoke_user(user_id: object, *, product: str | None = None, why: str = "revoked") -> None:
    """Do what ``revoke_user`` does, on the running event loop."""
    await asend_control(
        Control(operation="close", user_id=validate_user_id(user_id), product=product, why=why)
    )


def revalidate_user(user_id: object | None = None) -> None:
    """Have the sockets of a user, or all, look again at user, session and permissions. Raises RedisUnavailable."""
    send_control(
        Control(operation="revalidate", user_id=None if user_id is None else validate_user_id(user_id))
    )
