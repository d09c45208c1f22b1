from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.redis_state.presence.typing_indicators import MAX_TYPING_USERS, TypingManager
from pleme_redis_django.redis_state.server.redis_call import redis_client
from tests.twins import Twin


@pytest.fixture
def typing(twin: Callable[[Any], Twin]) -> Twin:
    return twin(TypingManager("acme"))


def key_of_conversation_7() -> bytes:
    [key] = redis_client().keys("pl:{acme:conv}:typing:*")
    return bytes(key)


async def test_typing_shows_until_cleared(typing: Twin) -> None:
    assert await typing.set_typing("conv:7", 42)
    assert await typing.get_typing_users("conv:7") == ["42"]
    assert await typing.clear_typing("conv:7", 42)
    assert await typing.get_typing_users("conv:7") == []


async def test_bare_numbers_are_conversations(typing: Twin) -> None:
    await typing.set_typing(7, 42)
    assert await typing.get_typing_users("7") == ["42"]


async def test_keystrokes_are_throttled(typing: Twin) -> None:
    assert await typing.set_typing("conv:7", 42)
    assert not await typing.set_typing("conv:7", 42)
    seconds, micros = redis_client().time()
    past_half = seconds * 1000 + micros // 1000 + 2500
    redis_client().zadd(key_of_conversation_7(), {"42": past_half})
    assert await typing.set_typing("conv:7", 42)


async def test_clearing_what_is_not_there_is_no_news(typing: Twin) -> None:
    assert not await typing.clear_typing("conv:7", 42)


async def test_typing_expires_by_itself(typing: Twin) -> None:
    await typing.set_typing("conv:7", 42)
    seconds, _ = redis_client().time()
    assert redis_client().pttl(key_of_conversation_7()) <= 12_000
    redis_client().zadd(key_of_conversation_7(), {"42": seconds * 1000 - 1})
    assert await typing.get_typing_users("conv:7") == []


async def test_conversation_is_bounded(typing: Twin) -> None:
    for user in range(MAX_TYPING_USERS + 5):
        await typing.set_typing("conv:7", user)
    assert len(await typing.get_typing_users("conv:7")) == MAX_TYPING_USERS


async def test_event_tells_user_and_duration(typing: Twin) -> None:
    with redis_client().pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("pl:{acme:conv}:bus")
        pubsub.get_message(timeout=1)
        await typing.set_typing("conv:7", 42, connection_id="c3")
        message = pubsub.get_message(timeout=1)
    header, _, frame = message["data"].partition(b"\n")
    assert header == b"typing conv:7 c3"
    assert frame == b'{"typing":{"ch":"conv:7","u":"42","c":"c3","on":true,"ttl":6000}}'


async def test_products_share_nothing(typing: Twin) -> None:
    await typing.set_typing("conv:7", 42)
    assert TypingManager("acme-2").get_typing_users("conv:7") == []


@pytest.mark.parametrize("conversation", ["", "*", "conv:*", "a\nb", "@online", None, "x" * 300])
async def test_hostile_conversations_are_refused(typing: Twin, conversation: Any) -> None:
    with pytest.raises(InvalidName):
        await typing.set_typing("" if conversation is None else conversation, 42)
