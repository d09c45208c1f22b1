"""Orders to every process: check, or close, the sockets of a user or of a session.

They travel over the hub's own Redis connection: one publish, whatever the number of sockets. A channel layer
would need a group for each user, and forgets its members after a day. A process does not get what is published
while it reconnects; so each order is kept for some minutes, for processes that begin to listen.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from typing import Any, Literal

from pleme_redis_django.products import validate_product
from pleme_redis_django.realtime.allowance import Clock
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.redis_state.names import validate_user_id
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import HINTS
from pleme_redis_django.redis_state.server.redis_call import async_redis_client, redis_client
from pleme_redis_django.redis_state.server.unavailable import outages_as_unavailable

KEPT_SECONDS = 300
"""How long an order is kept for a process that connects again."""
KEPT_ORDERS = 10_000
CLOCK_READINGS = 3

logger = logging.getLogger("pleme_redis_django.control")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One order to every hub; without user and session it is for every socket."""

    operation: Literal["close", "revalidate"]
    user_id: str | None = None
    session: str | None = None
    """Digest of a session key: the key itself would open the session to anyone who reads Redis."""
    product: str | None = None
    code: int = CloseCode.REVOKED
    why: str = "revoked"

    def concerns(self, user_id: str | None, product: str, session_key: str | None) -> bool:
        """Whether it is for a socket of this user and product, opened with this session."""
        return (
            (self.user_id is None or user_id == self.user_id)
            and (self.product is None or product == self.product)
            and (self.session is None or session_digest(session_key) == self.session)
        )


_FIELDS = tuple(field.name for field in dataclasses.fields(Control))


def session_digest(session_key: str | None) -> str | None:
    """Return what stands for a session key in an order."""
    return None if session_key is None else keyspace.digest(session_key)


def parse_control(raw: bytes | str) -> Control | None:
    """Return an order, None for anything else: another release may send fields and operations of its own."""
    try:
        fields = json.loads(raw)
        known = {name: fields[name] for name in _FIELDS if name in fields}
        control = Control(**known)
        CloseCode(control.code)
    except (ValueError, TypeError) as error:
        logger.warning("An order to the sockets could not be read: %s", error)
        return None
    return control if control.operation in ("close", "revalidate") else None


def send_controls(controls: Sequence[Control]) -> None:
    """Send orders to every process, in one round trip. Raises RedisUnavailable."""
    pipeline = redis_client(HINTS).pipeline(transaction=False)
    _fill(pipeline, controls)
    with outages_as_unavailable():
        pipeline.execute()


async def asend_controls(controls: Sequence[Control]) -> None:
    pipeline = async_redis_client().pipeline(transaction=False)
    _fill(pipeline, controls)
    with outages_as_unavailable():
        await pipeline.execute()


def _fill(pipeline: Any, controls: Sequence[Control]) -> None:
    for control in controls:
        text = json.dumps(dataclasses.asdict(control))
        # Kept before it is sent: a process that begins to listen in between finds it.
        pipeline.xadd(keyspace.control_log(), {"order": text}, maxlen=KEPT_ORDERS, approximate=True)
        pipeline.publish(keyspace.control_bus(), text)
    pipeline.expire(keyspace.control_log(), KEPT_SECONDS)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeptControl:
    """An order as it is kept."""

    entry_id: bytes
    control: Control
    moment: float
    """When it was given at the latest, by the reader's clock."""


async def akept_controls(clock: Clock) -> list[KeptControl]:
    """Return the orders of the last minutes, oldest first. Raises RedisUnavailable."""
    client: Any = async_redis_client()
    with outages_as_unavailable():
        entries = await client.xrevrange(keyspace.control_log(), count=KEPT_ORDERS)
        # A reply that is late makes the orders look younger: the quickest counts.
        ahead = min([-_seconds(await client.time()) + clock() for _ in range(CLOCK_READINGS)])
    oldest = clock() - KEPT_SECONDS
    kept = []
    for entry_id, fields in reversed(entries):
        # Its number is rounded down to a millisecond; no order may look older than it is.
        moment = (int(entry_id.partition(b"-")[0]) + 1) / 1000 + ahead
        control = parse_control(fields[b"order"])
        if control is not None and moment >= oldest:
            kept.append(KeptControl(entry_id=entry_id, control=control, moment=moment))
    return kept


def _seconds(server_time: tuple[int, int]) -> float:
    return server_time[0] + server_time[1] / 1_000_000


def revoke_user(user_id: object, *, product: str | None = None, why: str = "revoked") -> None:
    """Close every socket of a user (4005), in one product or in all, in every process.

    A process that is reconnecting to Redis obeys once it is back, within five minutes. Raises RedisUnavailable.
    """
    send_controls([_revocation(user_id, product, why)])


async def arevoke_user(user_id: object, *, product: str | None = None, why: str = "revoked") -> None:
    await asend_controls([_revocation(user_id, product, why)])


def _revocation(user_id: object, product: str | None, why: str) -> Control:
    return Control(operation="close", user_id=validate_user_id(user_id), product=product, why=why)


def revalidate_user(user_id: object | None = None) -> None:
    """Check user, session and permissions of a user's sockets, or of all, again. Raises RedisUnavailable."""
    send_controls([_look(user_id)])


async def arevalidate_user(user_id: object | None = None) -> None:
    await asend_controls([_look(user_id)])


def _look(user_id: object | None) -> Control:
    name = None if user_id is None else validate_user_id(user_id)
    return Control(operation="revalidate", user_id=name)


def revalidate_product(product: str) -> None:
    """Check again whether the sockets of a product still belong to it. Raises RedisUnavailable."""
    send_controls([Control(operation="revalidate", product=validate_product(product))])


async def arevalidate_product(product: str) -> None:
    await asend_controls([Control(operation="revalidate", product=validate_product(product))])
