"""The Channels consumers: one websocket each, from accept to close. They read; the hub writes.

``RealtimeConsumer`` speaks all of ``pleme.v1``; the three others each speak a part of it, for endpoints of their own. A
subclass may set ``channel_layer_alias`` and handle group messages as any Channels consumer does.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any, ClassVar

from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidProduct
from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.authorization import OUTAGES, resolve_scope_product
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.command_runner import CommandRunner
from pleme_redis_django.realtime.commands import HANDLERS, run_command
from pleme_redis_django.realtime.connection import Connection
from pleme_redis_django.realtime.database_threads import call_for_identity
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.realtime.handshakes import TooManyHandshakes, place_in_turn, send_refusal
from pleme_redis_django.realtime.hub import Hub, hub
from pleme_redis_django.realtime.limits import get_limits
from pleme_redis_django.realtime.sessions import SessionsAway, load_user

logger = logging.getLogger("pleme_redis_django.consumers")


class RealtimeConsumer(AsyncConsumer):  # type: ignore[misc]  # channels is untyped
    """Presence, typing and pub/sub over one socket."""

    channel_layer_alias: ClassVar[str | None] = None
    commands: ClassVar[frozenset[str]] = frozenset(HANDLERS)
    strict: ClassVar[bool] = False
    """Refuse unknown fields of commands: for tests of a client."""

    connection: Connection | None = None
    runner: CommandRunner[Hub]
    hub: Hub

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle one message, without going to a thread to close old database connections as Channels does.

        Only hooks use the database here, and they are called in a thread that takes care of its connections.
        """
        await getattr(self, get_handler_name(message))(message)

    async def websocket_connect(self, _message: dict[str, Any]) -> None:
        """Accept, then close with a code if the socket may not stay: a script sees no code of an earlier refusal."""
        began_at = hub().clock()
        offered = self.scope.get("subprotocols", [])
        accepted = frames.SUBPROTOCOL if frames.SUBPROTOCOL in offered else None
        await self.send({"type": "websocket.accept", "subprotocol": accepted})
        if offered and accepted is None:
            await send_refusal(
                self.send, CloseCode.BAD_PROTOCOL, f"accepted subprotocol: {frames.SUBPROTOCOL}"
            )
            return
        try:
            async with place_in_turn():
                code, why = await self._admit()
        except TooManyHandshakes:
            code, why = CloseCode.OVERLOAD, "too many sockets at once"
        if code is not None:
            await send_refusal(self.send, code, why)
            return
        self.hub = hub()
        self.connection = Connection(
            f"c{secrets.token_hex(6)}",
            self.scope,
            self.base_send,
            get_limits(),
            self.hub.work,
            began_at=began_at,
        )
        self.runner = CommandRunner(self.connection, self.hub, run_command, self.commands, strict=self.strict)
        self.hub.open(self.connection)

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        """Pass a frame on to be run, and continue to read."""
        connection = self.connection
        if connection is None or connection.is_closing:
            return
        text = message.get("text")
        if text is None:
            connection.close(CloseCode.BAD_PROTOCOL, "frames are text")
        elif _is_longer(text, connection.limits.frame_bytes):
            connection.outbox.heard()
            self.runner.refuse(
                None, ErrorCode.LIMIT, f"a frame is at most {connection.limits.frame_bytes} bytes"
            )
        else:
            await self.runner.take(text)

    async def websocket_disconnect(self, _message: dict[str, Any]) -> None:
        """Release everything; presence ends after its grace."""
        if self.connection is not None:
            self.connection.outbox.gone()
            await self.runner.finish()
            await self.hub.close(self.connection)
        raise StopConsumer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # A server that cancels the consumer does not send a disconnect.
            if self.connection is not None:
                await self.runner.stop()
                await self.hub.close(self.connection)

    async def _admit(self) -> tuple[CloseCode | None, str]:
        """Resolve user and product; return the code and the reason to close the socket, or None."""
        if "user" not in self.scope:
            raise RuntimeError(
                "The scope has no user. Wrap the websocket routes in AuthMiddlewareStack, "
                "as pleme_redis_django.realtime.routing.websocket_application() does."
            )
        try:
            is_authenticated = await call_for_identity(load_user, self.scope)
            if not is_authenticated and not get_settings().allow_anonymous:
                return CloseCode.BAD_CREDENTIALS, "log in first"
            self.scope["product"] = await resolve_scope_product(self.scope, is_handshake=True)
        except InvalidProduct as error:
            logger.warning("A socket was refused because it has no product: %s", error)
            return CloseCode.DENIED, "no product"
        except (SessionsAway, *OUTAGES) as error:
            logger.warning("A socket has to come back later: %s", error)
            return CloseCode.OVERLOAD, "the service is not available"
        except Exception:
            # The next time would be no better, and clients come back after codes that they do not know.
            logger.exception("A socket was refused because the resolver of its product failed.")
            return CloseCode.DENIED, "no product"
        return None, ""


class PresenceConsumer(RealtimeConsumer):
    """Presence alone."""

    commands = frozenset({"connect", "pres", "unpres", "active", "idle"})


class TypingConsumer(RealtimeConsumer):
    """Typing alone: subscribe to conversations, and type in them."""

    commands = frozenset({"connect", "sub", "unsub", "typing"})


class PubSubConsumer(RealtimeConsumer):
    """Pub/sub alone."""

    commands = frozenset({"connect", "sub", "unsub", "pub", "history"})


def _is_longer(text: str, limit: int) -> bool:
    return len(text) > limit or (4 * len(text) > limit and len(text.encode(errors="replace")) > limit)
