"""The visible effects of a change of presence, and the signals about them."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.exceptions import PresenceRefused
from pleme_redis_django.redis_state.presence.changes import ChangeSignals, PresenceChange, parse_result
from pleme_redis_django.signals import user_idle, user_offline, user_online


def test_a_reply_is_read_with_every_change_in_order() -> None:
    result = parse_result([b"ok", 7, 3, b"online", b"1", b"idle", b"2"])
    assert (result.version, result.removed) == (7, 3)
    assert result.changes == (
        PresenceChange(kind="online", user_id="1"),
        PresenceChange(kind="idle", user_id="2"),
    )
    assert result


def test_a_reply_without_a_change_shows_nothing() -> None:
    assert not parse_result([b"ok", 7, 0])


def test_a_refusal_is_raised_with_its_reason() -> None:
    with pytest.raises(PresenceRefused, match="did not join") as refused:
        parse_result([b"scope limit", 7, 0])
    assert refused.value.reason == "scope limit"


@pytest.fixture
def told() -> Any:
    seen: list[tuple[str, dict[str, Any]]] = []

    def receiver(name: str) -> Any:
        def receive(sender: Any, signal: Any, **arguments: Any) -> None:
            seen.append((name, arguments))

        return receive

    receivers = {
        signal: receiver(name)
        for name, signal in (("online", user_online), ("offline", user_offline), ("idle", user_idle))
    }
    for signal, receive in receivers.items():
        signal.connect(receive)
    yield seen
    for signal, receive in receivers.items():
        signal.disconnect(receive)


def test_each_visible_change_is_a_signal_but_that_of_metadata(told: Any) -> None:
    reply = [b"ok", 7, 0, b"online", b"1", b"update", b"1", b"active", b"2", b"offline", b"3"]
    ChangeSignals(sender=object, product="shop", result=parse_result(reply)).run()
    assert told == [
        ("online", {"product": "shop", "user_id": "1"}),
        ("idle", {"product": "shop", "user_id": "2", "idle": False}),
        ("offline", {"product": "shop", "user_id": "3"}),
    ]
