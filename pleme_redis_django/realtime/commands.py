"""What each command of a client does. Every function returns the reply's body as JSON text.

What is not allowed raises CommandRefused; ``command_runner`` makes error replies of InvalidName, InvalidEvent and
RedisUnavailable. A connection's commands run one after the other, in the order sent.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from pleme_redis_django.exceptions import PresenceRefused
from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.authorization import Action, is_allowed
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.connection import Connection
from pleme_redis_django.realtime.frames import ClientCommand, CommandRefused, ErrorCode
from pleme_redis_django.realtime.heads import Heads
from pleme_redis_django.realtime.limits import ClientLimits
from pleme_redis_django.realtime.loop_work import LoopWork
from pleme_redis_django.realtime.open_sockets import OpenSockets
from pleme_redis_django.realtime.presence_keeper import PresenceKeeper
from pleme_redis_django.realtime.quotas import UserQuotas
from pleme_redis_django.redis_state.names import (
    PRODUCT_PRESENCE,
    head_of,
    validate_channel,
    validate_pattern,
    validate_room,
)
from pleme_redis_django.redis_state.presence.manager import PresenceManager, encode_metadata
from pleme_redis_django.redis_state.presence.typing_indicators import TypingManager
from pleme_redis_django.redis_state.pubsub.head_feed import HeadFeed
from pleme_redis_django.redis_state.pubsub.log import log_page, to_position
from pleme_redis_django.redis_state.pubsub.log_page import LogPage
from pleme_redis_django.redis_state.pubsub.messages import Position
from pleme_redis_django.redis_state.pubsub.publishing import publish_call, sent
from pleme_redis_django.redis_state.server.flows import arun
from pleme_redis_django.redis_state.server.keyspace import digest

RECOVERED_CHARACTERS = 1024 * 1024
HISTORY_MESSAGES = 100
SNAPSHOT_USERS = 100

# What a command costs beyond its own token, in commands: a client pays afterwards for what it caused.
READ_CHARACTERS_PER_COMMAND = 16 * 1024
COST_OF_TYPING = 4
COST_OF_JOIN = 2
COST_OF_UPDATE = 9
"""Up to a thousand people in a room are told that somebody came, or changed their metadata."""


class HubParts(Protocol):
    """What a command uses of the hub."""

    sockets: OpenSockets
    heads: Heads
    presence: PresenceKeeper
    quotas: UserQuotas
    work: LoopWork


Handler = Callable[[HubParts, Connection, Mapping[str, Any]], Awaitable[str]]


async def connect(hub: HubParts, connection: Connection, _fields: Mapping[str, Any]) -> str:
    """Bring the user online and tell the client who and where it is."""
    if connection.is_registered:
        raise CommandRefused(ErrorCode.BAD_REQUEST, "this socket is connected already")
    if connection.user_id is not None:
        try:
            await hub.presence.join(connection, PRODUCT_PRESENCE)
        except PresenceRefused as refused:
            # Only for now: the connections of a web server that has just stopped still count for a while.
            connection.close(CloseCode.OVERLOAD, "too many connections")
            raise CommandRefused(ErrorCode.LIMIT, str(refused)) from refused
    hub.sockets.register(connection)
    limits = connection.limits
    return frames.encode(
        {
            "conn": connection.id,
            "user": connection.user_id,
            "product": connection.product,
            "ping": limits.ping_seconds,
            "pong": limits.pong_seconds,
            "now": time.time_ns() // 1_000_000,
            "features": [],
            "limits": {
                "frame": limits.frame_bytes,
                "subs": limits.subscriptions,
                "cmd_s": limits.commands_per_second,
            },
        }
    )


async def subscribe(hub: HubParts, connection: Connection, fields: Mapping[str, Any]) -> str:
    """Subscribe to a channel or pattern, and send what was missed since a position."""
    pattern = validate_pattern(fields["ch"])
    since = fields.get("since")
    position = None if since is None else to_position(since)
    subscriptions = connection.listening.subscriptions
    judged = await _check(connection, "subscribe", pattern)
    if pattern not in subscriptions and len(subscriptions) >= connection.limits.subscriptions:
        raise CommandRefused(ErrorCode.LIMIT, f"at most {connection.limits.subscriptions} subscriptions")
    routes = await hub.heads.hold(connection.product, head_of(pattern))
    try:
        assert routes.feed is not None
        page = await _missed(routes.feed, pattern, position, connection.limits)
        while judged != connection.standing.judged:
            # The socket was checked again while this waited, and the subscription was not there yet to be removed.
            judged = await _check(connection, "subscribe", pattern)
            page = await _missed(routes.feed, pattern, position, connection.limits)
    except BaseException:
        await hub.heads.release(connection.product, head_of(pattern))
        raise
    _charge_reading(hub, connection, page)
    # Nothing may wait from here to the return: new messages have to come after the missed ones.
    if pattern in subscriptions or connection.id not in hub.sockets.by_id:
        hub.work.start(hub.heads.release(connection.product, head_of(pattern)))
    if connection.id in hub.sockets.by_id:
        subscriptions[pattern] = routes
        routes.subscribe(pattern, connection, page.top)
    return _subscribed(page, is_resumed=position is not None)


async def _missed(feed: HeadFeed, pattern: str, position: Position | None, limits: ClientLimits) -> LogPage:
    if position is None:
        return LogPage(top=feed.position, status="complete", messages=(), reached=feed.position)
    return await feed.recover(position, limits.recovery_messages, pattern)


def _subscribed(page: LogPage, *, is_resumed: bool) -> str:
    top = frames.encode(page.top)
    if not is_resumed:
        return f'{{"pos":{top}}}'
    missed = [message.frame for message in page.messages]
    if page.recovered and sum(map(len, missed)) <= RECOVERED_CHARACTERS:
        return f'{{"pos":{top},"recovered":true,"pubs":{frames.pub_bodies(missed)}}}'
    why = "limit" if page.recovered else page.status
    return f'{{"pos":{top},"recovered":false,"why":"{why}"}}'


async def unsubscribe(hub: HubParts, connection: Connection, fields: Mapping[str, Any]) -> str:
    """End a subscription. It is not an error if there is none."""
    await hub.heads.unsubscribe(connection, validate_pattern(fields["ch"]))
    return "{}"


async def publish(_hub: HubParts, connection: Connection, fields: Mapping[str, Any]) -> str:
    """Publish for a client. The server tells recipients which user it was."""
    channel = validate_channel(fields["ch"])
    await _check(connection, "publish", channel)
    key = fields.get("key")
    call = publish_call(
        connection.product,
        channel,
        fields["d"],
        idempotency_key=None if key is None else _own_key(connection, channel, key),
        user_id=connection.user_id,
        connection_id=connection.id,
        echo=fields.get("echo", True),
    )
    return frames.encode({"pos": await arun(sent(call))})


def _own_key(connection: Connection, channel: str, key: str) -> str:
    """Return a client's key made unique to the client: it suppresses no message of others or of the server.

    A digest of a list, because users and keys may contain any separator.
    """
    owner = ("user", connection.user_id) if connection.user_id else ("connection", connection.id)
    return f"client:{digest(frames.encode([*owner, channel, key]))}"


async def join(hub: HubParts, connection: Connection, fields: Mapping[str, Any]) -> str:
    """Join or watch a room, or read its next page; return a page of who is there."""
    room = validate_room(fields["ch"])
    judged = await _check(connection, "presence", room)
    manager = PresenceManager(connection.product, room)
    if "cursor" not in fields:
        await _join(hub, connection, room, fields)
        if judged != connection.standing.judged:
            # The socket was checked again while this waited, and the room may not have been there yet to be removed.
            await _check_again(hub, connection, room)
    page = await manager.asnapshot(fields.get("cursor"), SNAPSHOT_USERS)
    following = frames.encode(page.cursor)
    return f'{{"v":{page.version},"users":{page.users_json},"next":{following}}}'


async def _check_again(hub: HubParts, connection: Connection, room: str) -> None:
    try:
        await _check(connection, "presence", room)
    except BaseException:
        await _leave(hub, connection, room)
        raise


async def _join(hub: HubParts, connection: Connection, room: str, fields: Mapping[str, Any]) -> None:
    joins = fields.get("join", True) and connection.user_id is not None
    if room not in connection.listening.rooms and len(connection.listening.rooms) >= connection.limits.rooms:
        raise CommandRefused(ErrorCode.LIMIT, f"at most {connection.limits.rooms} rooms")
    metadata = fields.get("meta")
    if metadata is not None:
        # Refused before anything changes: a heartbeat would repeat it for as long as the socket is open.
        encode_metadata(metadata)
    was_joined = connection.listening.rooms.get(room)
    await hub.heads.watch(connection, room, joins=joins)
    if joins and (room != PRODUCT_PRESENCE or metadata is not None):
        try:
            changed = await hub.presence.join(connection, room, metadata)
            if changed:
                hub.quotas.charge(connection, COST_OF_UPDATE if was_joined else COST_OF_JOIN)
        except BaseException as error:
            if was_joined is None:
                await hub.heads.unwatch(connection, room)
            elif room in connection.listening.rooms:
                connection.listening.rooms[room] = was_joined
            if isinstance(error, PresenceRefused):
                raise CommandRefused(ErrorCode.LIMIT, str(error)) from error
            raise


async def leave(hub: HubParts, connection: Connection, fields: Mapping[str, Any]) -> str:
    """Leave a room at once. It is not an error to leave a room without being there."""
    await _leave(hub, connection, validate_room(fields["ch"]))
    return "{}"


async def _leave(hub: HubParts, connection: Connection, room: str) -> None:
    was_joined = connection.listening.rooms.get(room, False)
    await hub.heads.unwatch(connection, room)
    if was_joined and room != PRODUCT_PRESENCE:
        await hub.presence.leave(connection, room)


async def typing(hub: HubParts, connection: Connection, fields: Mapping[str, Any]) -> str:
    """Show that the user types, or does not any more; the server throttles it."""
    channel = validate_channel(fields["ch"])
    await _check(connection, "typing", channel)
    if connection.user_id is None:
        raise CommandRefused(ErrorCode.UNAUTHORIZED, "typing needs a logged-in user")
    manager = TypingManager(connection.product)
    tell = manager.aset_typing if fields["on"] else manager.aclear_typing
    if await tell(channel, connection.user_id, connection_id=connection.id):
        hub.quotas.charge(connection, COST_OF_TYPING)
    return "{}"


async def history(hub: HubParts, connection: Connection, fields: Mapping[str, Any]) -> str:
    """Read the log after a position, or its newest messages."""
    pattern = validate_pattern(fields["ch"])
    since = fields.get("since")
    await _check(connection, "subscribe", pattern)
    position = None if since is None else to_position(since)
    limit = min(fields.get("limit", HISTORY_MESSAGES), HISTORY_MESSAGES)
    page = await log_page(connection.product, head_of(pattern), position, limit, pattern=pattern).arun()
    _charge_reading(hub, connection, page)
    if page.status in ("epoch", "trimmed"):
        raise CommandRefused(
            ErrorCode.UNRECOVERABLE, f"the log does not reach back to the position: {page.status}"
        )
    has_more = position is not None and page.status != "complete"
    end = page.reached if has_more else page.top
    shown = [message.frame for message in page.messages]
    more = frames.encode(has_more)
    return f'{{"pos":{frames.encode(end)},"pubs":{frames.pub_bodies(shown)},"more":{more}}}'


def _charge_reading(hub: HubParts, connection: Connection, page: LogPage) -> None:
    """Charge a client for what was read for it, from any channel of the head."""
    characters = max(page.read_bytes, sum(len(message.frame) for message in page.messages))
    hub.quotas.charge(connection, characters / READ_CHARACTERS_PER_COMMAND)


async def set_active(hub: HubParts, connection: Connection, _fields: Mapping[str, Any]) -> str:
    """Note that the person is there."""
    connection.appearance.wants_idle = False
    await hub.presence.settle_idle(connection)
    return "{}"


async def set_idle(hub: HubParts, connection: Connection, _fields: Mapping[str, Any]) -> str:
    """Note that the person is away."""
    connection.appearance.wants_idle = connection.user_id is not None
    await hub.presence.settle_idle(connection)
    return "{}"


async def _check(connection: Connection, action: Action, channel: str) -> int:
    """Return ``Standing.judged`` of the moment when it was asked. Raises CommandRefused unless it is allowed."""
    judged = connection.standing.judged
    if not await is_allowed(connection.standing.scope, action, channel):
        raise CommandRefused(ErrorCode.DENIED, f"permission denied: {action} {channel}")
    return judged


HANDLERS: dict[str, Handler] = {
    "connect": connect,
    "sub": subscribe,
    "unsub": unsubscribe,
    "pub": publish,
    "pres": join,
    "unpres": leave,
    "typing": typing,
    "history": history,
    "active": set_active,
    "idle": set_idle,
}


def run_command(hub: HubParts, connection: Connection, command: ClientCommand) -> Awaitable[str]:
    """Run one command; the caller has checked that its name is one of ``HANDLERS``."""
    return HANDLERS[command.name](hub, connection, command.fields)
