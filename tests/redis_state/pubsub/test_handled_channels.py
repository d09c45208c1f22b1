"""Channels that are not a head's bus: when they are subscribed to, and what their handlers may not break."""

from __future__ import annotations

from pleme_redis_django.redis_state.pubsub.handled_channels import HandledChannels


def test_channel_is_subscribed_to_with_its_first_handler_and_left_with_its_last() -> None:
    channels, first, second = HandledChannels(), list[bytes](), list[bytes]()
    assert channels.add(b"orders", first.append, None)
    assert not channels.add(b"orders", second.append, None)
    channels.hand_on(b"orders", b"1")
    assert (first, second) == ([b"1"], [b"1"])
    # Two lists that hold the same are equal, and so would their methods be.
    second.append(b"own")
    assert not channels.remove(b"orders", first.append)
    channels.hand_on(b"orders", b"2")
    assert (first, second) == ([b"1"], [b"1", b"own", b"2"])
    assert channels.remove(b"orders", second.append)
    assert not channels.remove(b"orders", second.append), "nothing is left to leave"
    assert not channels


def test_confirmation_is_told_once_and_anew_after_a_lost_connection() -> None:
    channels, told = HandledChannels(), list[str]()
    channels.add(b"orders", lambda raw: None, lambda: told.append("first"))
    channels.add(b"orders", lambda raw: None, lambda: told.append("second"))
    assert told == []
    channels.confirm(b"orders")
    assert told == ["first", "second"]
    channels.add(b"orders", lambda raw: None, lambda: told.append("late"))
    assert told == ["first", "second", "late"]
    channels.note_lost_connection()
    channels.add(b"orders", lambda raw: None, lambda: told.append("later"))
    assert told == ["first", "second", "late"]
    channels.confirm(b"stock")
    assert told == ["first", "second", "late"], "nobody listens to stock"


def test_handler_that_raises_hides_nothing_from_the_next_one() -> None:
    channels, heard = HandledChannels(), list[bytes]()

    def broken(raw: bytes) -> None:
        raise ValueError("a handler's own fault")

    channels.add(b"orders", broken, None)
    channels.add(b"orders", heard.append, None)
    channels.hand_on(b"orders", b"1")
    assert heard == [b"1"]
