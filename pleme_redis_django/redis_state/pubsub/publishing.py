"""What is sent to publish one event, and what happens if the connection breaks."""

from __future__ import annotations

import secrets
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidName, RedisUnavailable
from pleme_redis_django.redis_state.names import (
    head_of,
    validate_channel,
    validate_connection_id,
    validate_user_id,
)
from pleme_redis_django.redis_state.pubsub.log import POSITION_TTL_MS
from pleme_redis_django.redis_state.pubsub.messages import Position, encode_event
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import PUBLISHING
from pleme_redis_django.redis_state.server.flows import Flow
from pleme_redis_django.redis_state.server.pause import Pause
from pleme_redis_django.redis_state.server.redis_call import RedisCall, script_call
from pleme_redis_django.redis_state.server.scripts import Argument

IDEMPOTENCY_TTL_MS = 5 * 60 * 1000
IDEMPOTENCY_KEY_MAX_LENGTH = 200
FIRST_ATTEMPT, SECOND_ATTEMPT = "0", "1"
PAUSE_SECONDS = 5.0

# A server that refuses, or is gone, costs nothing. One that hangs costs each caller the whole timeout, and most
# callers publish after a commit, inside a request.
publish_pause = Pause(
    PAUSE_SECONDS,
    f"Redis did not answer a publish a moment ago, and is not asked for {PAUSE_SECONDS:.0f} s. "
    "Check that the server of the configured URL is not stopped or busy.",
    after=(RedisTimeoutError,),
)


def publish_call(
    product: str,
    channel: str,
    event: Any,
    *,
    idempotency_key: str | None = None,
    user_id: object | None = None,
    connection_id: str | None = None,
    echo: bool = True,
) -> RedisCall[Position]:
    """Return the request that numbers, keeps and sends an event. Raises InvalidName, InvalidEvent."""
    settings = get_settings()
    head = head_of(validate_channel(channel))
    connection = "" if connection_id is None else validate_connection_id(connection_id)
    keys = [keyspace.channel_position(product, head), keyspace.channel_log(product, head)]
    if idempotency_key is not None:
        keys.append(keyspace.channel_once(product, head, _validate_key(idempotency_key)))
    arguments: list[Argument] = [
        keyspace.channel_bus(product, head),
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


def sent(call: RedisCall[Position]) -> Flow[Position]:
    """Publish; if the connection breaks, try once more, and say that the first attempt may have worked."""
    try:
        position: Position = yield call
    except RedisUnavailable as error:
        if not _may_send_again(error):
            raise
        position = yield call._replace(command=(*call.command[:-1], SECOND_ATTEMPT))
    return position


def _validate_key(key: object) -> str:
    if isinstance(key, str) and 0 < len(key) <= IDEMPOTENCY_KEY_MAX_LENGTH:
        return key
    raise InvalidName(
        f"{repr(key)[:60]} is not a valid idempotency key. Accepted: 1 to {IDEMPOTENCY_KEY_MAX_LENGTH} characters."
    )


def _may_send_again(error: RedisUnavailable) -> bool:
    """Return whether the connection broke, as an idle one does in a restart; a silent server is not asked twice."""
    return isinstance(error.__cause__, RedisConnectionError)


def _position(reply: list[Any]) -> Position:
    return Position(reply[0].decode(), reply[1])
