"""Who types in a conversation now. A sign of typing lasts some seconds; nothing has to be taken back."""

from __future__ import annotations

from pleme_redis_django.conf import get_settings, resolve_product
from pleme_redis_django.redis_state import keyspace
from pleme_redis_django.redis_state.channel_names import (
    head_of,
    validate_channel,
    validate_connection_id,
    validate_user_id,
)
from pleme_redis_django.redis_state.connections import async_redis_client, redis_client
from pleme_redis_django.redis_state.scripts import Argument, script

MAX_TYPING_USERS = 100
"""How many users of one conversation may type at once; who comes later is not shown."""


class TypingManager:
    """Typing indicators of ``product`` (default: the settings' product).

    A conversation id is a channel name (``conv:7``; a bare 7 is one too). Every call is one round
    trip. Raises InvalidName for an id that is none, RedisUnavailable when Redis is away.
    """

    def __init__(self, product: str | None = None) -> None:
        self.product = resolve_product(product)

    def set_typing(
        self, conversation_id: object, user_id: object, *, connection_id: str | None = None
    ) -> bool:
        """Show a user as typing for ``TYPING_TTL_SECONDS``; return whether an event was sent.

        Calling it per keystroke is fine: only a call past half that time renews it and tells others.
        ``connection_id`` names the connection that does not get the event.
        """
        keys, arguments = self._call(conversation_id, user_id, connection_id, typing=True)
        return bool(script("set_typing").run(redis_client(), keys, arguments))

    async def aset_typing(
        self, conversation_id: object, user_id: object, *, connection_id: str | None = None
    ) -> bool:
        """Do what ``set_typing`` does, on the running event loop."""
        keys, arguments = self._call(conversation_id, user_id, connection_id, typing=True)
        return bool(await script("set_typing").arun(async_redis_client(), keys, arguments))

    def clear_typing(
        self, conversation_id: object, user_id: object, *, connection_id: str | None = None
    ) -> bool:
        """Stop showing a user as typing (the message was sent); return whether an event was sent."""
        keys, arguments = self._call(conversation_id, user_id, connection_id, typing=False)
        return bool(script("set_typing").run(redis_client(), keys, arguments))

    async def aclear_typing(
        self, conversation_id: object, user_id: object, *, connection_id: str | None = None
    ) -> bool:
        """Do what ``clear_typing`` does, on the running event loop."""
        keys, arguments = self._call(conversation_id, user_id, connection_id, typing=False)
        return bool(await script("set_typing").arun(async_redis_client(), keys, arguments))

    def get_typing_users(self, conversation_id: object) -> list[str]:
        """List the ids of the users who type now."""
        key = self._key(validate_channel(str(conversation_id)))
        return [user.decode() for user in script("typing_users").run(redis_client(), [key])]

    async def aget_typing_users(self, conversation_id: object) -> list[str]:
        """Do what ``get_typing_users`` does, on the running event loop."""
        key = self._key(validate_channel(str(conversation_id)))
        return [user.decode() for user in await script("typing_users").arun(async_redis_client(), [key])]

    def _key(self, channel: str) -> str:
        return keyspace.typing_users(self.product, head_of(channel), channel)

    def _call(
        self, conversation_id: object, user_id: object, connection_id: str | None, *, typing: bool
    ) -> tuple[list[str], list[Argument]]:
        channel = validate_channel(str(conversation_id))
        connection = "" if connection_id is None else validate_connection_id(connection_id)
        return [self._key(channel)], [
            keyspace.channel_bus(self.product, head_of(channel)),
            channel,
            validate_user_id(user_id),
            connection,
            "1" if typing else "0",
            get_settings().typing_ttl_seconds * 1000,
            MAX_TYPING_USERS,
        ]
