"""What travels on a bus is read back as it was written; what is not JSON is refused with its size or reason."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest

from pleme_redis_django.exceptions import InvalidEvent
from pleme_redis_django.redis_state.pubsub.messages import (
    BusMessage,
    Position,
    encode_event,
    parse_bus_message,
    to_message,
)


def test_a_numbered_message() -> None:
    raw = b'pub order:1 - e1 7 1700000000123\n{"pub":{"d":{"a":"x\\ny"},"u":"5"}}'
    message = to_message(parse_bus_message(raw))
    assert (message.channel, message.data, message.user_id) == ("order:1", {"a": "x\ny"}, "5")
    assert message.position == Position("e1", 7)
    assert message.published_at == datetime.datetime.fromtimestamp(1700000000.123, tz=datetime.UTC)


def test_a_message_without_a_number() -> None:
    assert parse_bus_message(b"typing conv:1 c1\n{}") == BusMessage("typing", "conv:1", "{}", "c1")


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"b": 1, "a": "é"}, '{"b":1,"a":"é"}'),
        (Decimal("1.50"), '"1.50"'),
        (datetime.date(2026, 1, 2), '"2026-01-02"'),
    ],
)
def test_events_are_compact_json_as_django_writes_it(event: Any, text: str) -> None:
    assert encode_event(event, 100) == text


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({1, 2}, "cannot be written"),
        (float("nan"), "cannot be written"),
        ("é" * 60, "122 bytes"),
        ("\ud800", "cannot"),
    ],
)
def test_other_events_are_refused(event: Any, why: str) -> None:
    with pytest.raises(InvalidEvent, match=why):
        encode_event(event, 100)
