"""Who types in a conversation now. It expires after some seconds, so that nothing has to be cleared."""

from __future__ import annotations

from pleme_redis_django.conf import get_settings, resolve_product
from pleme_redis_django.redis_state.names import (
    head_of,
    validate_channel,
    validate_connection_id,
    validate_user_id,
)
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import RedisCall, as_texts, script_call

MAX_TYPING_USERS = 100
"""How many users of one conversation may type at once; further users are not shown."""


class TypingManager:
    """Typing indicators of ``product`` (default: the settings' product).

    A conversation id is a channel name (``conv:7``; a bare 7 is one too). Every call is one round
    trip. Raises InvalidName for an id that is not valid, RedisUnavailable if Redis is away.
    """

    def __init__(self, product: str | None = None) -> None:
        self.product = resolve_product(product)

    def set_typing(
        self, conversation_id: object, user_id: object, *, connection_id: str | None = None
    ) -> bool:
        """Show a user as typing for ``TYPING_TTL_SECONDS``; return whether an event was sent.

        It may be called at each keystroke: only a call after half of that time renews it and tells others.
        ``connection_id`` names the connection that does not get the event.
        """
        return self._change(conversation_id, user_id, connection_id, is_typing=True).run()

    async def aset_typing(
        self, conversation_id: object, user_id: object, *, connection_id: str | None = None
    ) -> bool:
        return await self._change(conversation_id, user_id, connection_id, is_typing=True).arun()

    def clear_typing(
        self, conversation_id: object, user_id: object, *, connection_id: str | None = None
    ) -> bool:
        """Stop showing a user as typing (the message was sent); return whether an event was sent."""
        return self._change(conversation_id, user_id, connection_id, is_typing=False).run()

    async def aclear_typing(
        self, conversation_id: object, user_id: object, *, connection_id: str | None = None
    ) -> bool:
        return await self._change(conversation_id, user_id, connection_id, is_typing=False).arun()

    def get_typing_users(self, conversation_id: object) -> list[str]:
        """Return the ids of the users who type now."""
        return self._users(conversation_id).run()

    async def aget_typing_users(self, conversation_id: object) -> list[str]:
        return await self._users(conversation_id).arun()

    def _users(self, conversation_id: object) -> RedisCall[list[str]]:
        key = self._key(validate_channel(str(conversation_id)))
        return script_call("typing_list", [key], read=as_texts)

    def _key(self, channel: str) -> str:
        return keyspace.typing_users(self.product, head_of(channel), channel)

    def _change(
        self, conversation_id: object, user_id: object, connection_id: str | None, *, is_typing: bool
    ) -> RedisCall[bool]:
        channel = validate_channel(str(conversation_id))
        arguments = [
            keyspace.channel_bus(self.product, head_of(channel)),
            channel,
            validate_user_id(user_id),
            "" if connection_id is None else validate_connection_id(connection_id),
            "1" if is_typing else "0",
            get_settings().typing_ttl_seconds * 1000,
            MAX_TYPING_USERS,
        ]
        return script_call("typing_set", [self._key(channel)], arguments, read=bool)
