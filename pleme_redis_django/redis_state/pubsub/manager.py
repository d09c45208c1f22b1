"""Publishes events to current subscribers, and keeps them for some minutes for those who reconnect.

A message is numbered, kept in a capped log and sent by one script, in one round trip. Subscribers see
order and loss by (epoch, offset): a gap is repaired from the log, or reported as a Resync, never hidden.
Use a job or a row, not a message, for what must not be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.db import transaction

from pleme_redis_django.conf import resolve_product
from pleme_redis_django.exceptions import InvalidName, RedisUnavailable
from pleme_redis_django.redis_state.names import head_of, validate_pattern
from pleme_redis_django.redis_state.pubsub.log import history
from pleme_redis_django.redis_state.pubsub.messages import Message, Position
from pleme_redis_django.redis_state.pubsub.publishing import publish_call, sent
from pleme_redis_django.redis_state.pubsub.subscriptions import AsyncSubscription, Subscription
from pleme_redis_django.redis_state.server.flows import arun, run
from pleme_redis_django.redis_state.server.redis_call import RedisCall

logger = logging.getLogger("pleme_redis_django.pubsub")


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
        ``user_id`` tells recipients who published; ``connection_id`` names the websocket that publishes, which
        gets no copy if ``echo`` is false.

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

        It is live on entry. ``since`` continues after a position, for patterns of one head.
        """
        return Subscription(self.product, _patterns(patterns, since), since)

    def asubscribe(
        self, *patterns: str, since: Position | None = None, buffer: int = 1000
    ) -> AsyncSubscription:
        """Return an async context manager whose value iterates over Message and Resync.

        All of a process's async subscriptions share one Redis connection. ``buffer`` bounds the
        messages that wait for the iterator; when it is full, they are dropped, and a Resync says so.
        """
        return AsyncSubscription(self.product, _patterns(patterns, since), since, buffer)

    def history(self, channel: str, since: Position | None = None, limit: int = 100) -> list[Message]:
        """Read what the log holds of a channel or pattern: the first ``limit`` messages after ``since``.

        Without ``since``, the newest. Nothing is returned if the log does not reach back to ``since``. One round
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
        return publish_call(
            self.product,
            channel,
            event,
            idempotency_key=idempotency_key,
            user_id=user_id,
            connection_id=connection_id,
            echo=echo,
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
