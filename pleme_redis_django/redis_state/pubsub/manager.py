"""Publishes events to current subscribers, and keeps them for some minutes for those who reconnect.

A message is numbered, kept in a capped log and sent by one script, in one round trip. Subscribers see
order and loss by (epoch, offset): a gap is repaired from the log, or told as a Resync, never hidden.
What must not be lost at all is a job or a row, not a message.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any

from django.db import transaction
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pleme_redis_django.conf import get_settings, resolve_product
from pleme_redis_django.exceptions import InvalidName, RedisUnavailable
from pleme_redis_django.redis_state.names import (
    head_of,
    validate_channel,
    validate_connection_id,
    validate_pattern,
    validate_user_id,
)
from pleme_redis_django.redis_state.pubsub.log import POSITION_TTL_MS, history
from pleme_redis_django.redis_state.pubsub.messages import Message, Position, encode_event
from pleme_redis_django.redis_state.pubsub.subscriptions import AsyncSubscription, Subscription
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import PUBLISHING
from pleme_redis_django.redis_state.server.pause import Pause
from pleme_redis_django.redis_state.server.redis_call import Flow, RedisCall, arun, run, script_call
from pleme_redis_django.redis_state.server.scripts import Argument

IDEMPOTENCY_TTL_MS = 5 * 60 * 1000
IDEMPOTENCY_KEY_MAX_LENGTH = 200
FIRST_ATTEMPT, SECOND_ATTEMPT = "0", "1"
PAUSE_SECONDS = 5.0

logger = logging.getLogger("pleme_redis_django.pubsub")

# A server that refuses or is gone answers at once and costs nothing; one that hangs costs each caller the
# whole timeout, and most publish after a commit, inside a request.
publish_pause = Pause(
    PAUSE_SECONDS,
    f"Redis did not answer a publish a moment ago, and is not asked for {PAUSE_SECONDS:.0f} s. "
    "Check that the server of the configured URL is not stopped or busy.",
    after=(RedisTimeoutError,),
)


class PubSubManager:
    """Events of ``product`` (default: the settings' product). Raises InvalidProduct at construction."""

    def __init__(self, product: str | None = None) -> None:
        self.product = resolve_product(product)

    def publish(
        self,
        channel: str,
        event: Any,
        *,
        idempotency_key: str | None = None,
        on_commit: bool = True,
        using: str | None = None,
        user_id: object | None = None,
        connection_id: str | None = None,
        echo: bool = True,
    ) -> Position | None:
        """Publish a JSON-able event and return its position.

        Inside ``atomic()`` it is published after the commit (and None is returned): a rollback
        publishes nothing, and a Redis that is away by then is logged, not raised. ``on_commit=False``
        publishes at once; ``using`` names the database. A second message with the same
        ``idempotency_key`` within five minutes is not sent, and the first one's position is returned.
        ``user_id`` tells recipients who published; ``connection_id`` names the publishing websocket,
        which gets no copy when ``echo`` is false.

        Raises InvalidName, InvalidEvent (not JSON, or more than ``MAX_EVENT_BYTES``), RedisUnavailable; for
        five seconds after a server that hung, at once.
        """
        call = self._publish(channel, event, idempotency_key, user_id, connection_id, echo)
        if on_commit and transaction.get_connection(using).in_atomic_block:
            transaction.on_commit(self._deferred(call), using=using)
            return None
        return run(sent(call))

    async def apublish(
        self,
        channel: str,
        event: Any,
        *,
        idempotency_key: str | None = None,
        user_id: object | None = None,
        connection_id: str | None = None,
        echo: bool = True,
    ) -> Position:
        """Publish at once, on the running event loop; Django's transactions are synchronous."""
        call = self._publish(channel, event, idempotency_key, user_id, connection_id, echo)
        return await arun(sent(call))

    def subscribe(self, *patterns: str, since: Position | None = None) -> Subscription:
        """Return a context manager whose value iterates over Message and Resync, for sync code.

        It is live on entry. ``since`` goes on after a position, for patterns of one head.
        """
        return Subscription(self.product, _patterns(patterns, since), since)

    def asubscribe(
        self, *patterns: str, since: Position | None = None, buffer: int = 1000
    ) -> AsyncSubscription:
        """Return an async context manager whose value iterates over Message and Resync.

        All of a process's async subscriptions share one Redis connection. ``buffer`` bounds the
        messages that wait for the iterator; when it is full they are dropped, and a Resync says so.
        """
        return AsyncSubscription(self.product, _patterns(patterns, since), since, buffer)

    def history(self, channel: str, since: Position | None = None, limit: int = 100) -> list[Message]:
        """Read what the log holds of a channel or pattern: the first ``limit`` messages after ``since``.

        Without ``since``, the newest. Nothing is returned when the log does not reach back to it. One round
        trip for each MiB of the head's log.
        """
        return run(history(self.product, validate_pattern(channel), since, limit))

    async def ahistory(self, channel: str, since: Position | None = None, limit: int = 100) -> list[Message]:
        return await arun(history(self.product, validate_pattern(channel), since, limit))

    def _publish(
        self,
        channel: str,
        event: Any,
        idempotency_key: str | None,
        user_id: object | None,
        connection_id: str | None,
        echo: bool,
    ) -> RedisCall[Position]:
        settings = get_settings()
        head = head_of(validate_channel(channel))
        connection = "" if connection_id is None else validate_connection_id(connection_id)
        keys = [
            keyspace.channel_position(self.product, head),
            keyspace.channel_log(self.product, head),
        ]
        if idempotency_key is not None:
            keys.append(keyspace.channel_once(self.product, head, _validate_key(idempotency_key)))
        arguments: list[Argument] = [
            keyspace.channel_bus(self.product, head),
            channel,
            encode_event(event, settings.max_event_bytes),
            connection,
            "-" if echo or not connection else connection,
            settings.replay_messages,
            settings.replay_seconds * 1000,
            POSITION_TTL_MS,
            IDEMPOTENCY_TTL_MS,
            "" if user_id is None else validate_user_id(user_id),
            secrets.token_hex(8),
            FIRST_ATTEMPT,
        ]
        return script_call(
            "channel_publish", keys, arguments, read=_position, profile=PUBLISHING, pause=publish_pause
        )

    def _deferred(self, call: RedisCall[Position]) -> Callable[[], None]:
        def publish_after_commit() -> None:
            try:
                run(sent(call))
            except RedisUnavailable:
                logger.exception("An event of product %s was committed but not published.", self.product)

        return publish_after_commit


def _patterns(patterns: tuple[str, ...], since: Position | None) -> tuple[str, ...]:
    if not patterns:
        raise InvalidName('subscribe() was given no pattern. Accepted: at least one, like "order:*".')
    valid = tuple(validate_pattern(pattern) for pattern in patterns)
    if since is not None and len({head_of(pattern) for pattern in valid}) > 1:
        raise InvalidName(
            f"since belongs to one head, and the patterns {valid} have several. Subscribe once per head."
        )
    return valid


def _validate_key(key: object) -> str:
    if isinstance(key, str) and 0 < len(key) <= IDEMPOTENCY_KEY_MAX_LENGTH:
        return key
    raise InvalidName(
        f"{repr(key)[:60]} is not a valid idempotency key. Accepted: 1 to {IDEMPOTENCY_KEY_MAX_LENGTH} characters."
    )


def sent(call: RedisCall[Position]) -> Flow[Position]:
    """Publish; when the connection breaks, once more, saying that the first attempt may have worked."""
    try:
        position: Position = yield call
    except RedisUnavailable as error:
        if not _may_send_again(error):
            raise
        position = yield call._replace(command=(*call.command[:-1], SECOND_ATTEMPT))
    return position


def _may_send_again(error: RedisUnavailable) -> bool:
    """Tell whether the connection broke, as an idle one does in a restart; a silent server is not asked twice."""
    return isinstance(error.__cause__, RedisConnectionError)


def _position(reply: list[Any]) -> Position:
    return Position(reply[0].decode(), reply[1])
