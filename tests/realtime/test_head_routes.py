"""Who gets what a head brings: every pattern of a connection counts by itself."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from pleme_redis_django.realtime.head_routes import HeadRoutes
from pleme_redis_django.redis_state import names
from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position
from pleme_redis_django.redis_state.pubsub.pattern_tree import PatternTree

EPOCH = "e1"


class Pushed:
    """What a connection and a feed are to routes."""

    def __init__(self, name: str = "c1") -> None:
        self.id = name
        self.outbox = self
        self.frames: list[str] = []
        self.position = Position(EPOCH, 100)

    def push(self, frame: str) -> None:
        self.frames.append(frame)


def pub(channel: str, offset: int, epoch: str = EPOCH) -> BusMessage:
    return BusMessage("pub", channel, f"{channel} {offset}", "-", epoch, offset)


@pytest.fixture
def routes() -> Any:
    routes: Any = HeadRoutes()
    routes.feed = Pushed()
    return routes


def test_one_patterns_floor_hides_nothing_of_another(routes: Any) -> None:
    one = Pushed()
    routes.subscribe("order:a", one, Position(EPOCH, 100))
    routes.subscribe("order:b", one, Position(EPOCH, 105))
    for offset, channel in ((101, "order:a"), (102, "order:b"), (105, "order:a"), (106, "order:b")):
        routes.on_message(pub(channel, offset))
    assert one.frames == ["order:a 101", "order:a 105", "order:b 106"]


def test_message_of_two_patterns_comes_once_and_in_time(routes: Any) -> None:
    one = Pushed()
    routes.subscribe("order:*", one, Position(EPOCH, 100))
    routes.subscribe("order:a", one, Position(EPOCH, 105))
    routes.on_message(pub("order:a", 101))
    assert one.frames == ["order:a 101"]


def test_floor_goes_with_its_subscription(routes: Any) -> None:
    one = Pushed()
    routes.subscribe("order:a", one, Position(EPOCH, 105))
    routes.unsubscribe("order:a", one)
    routes.subscribe("order:a", one, Position(EPOCH, 100))
    routes.on_message(pub("order:a", 101))
    assert one.frames == ["order:a 101"]


def test_floor_does_not_reach_into_another_epoch(routes: Any) -> None:
    one = Pushed()
    routes.subscribe("order:a", one, Position(EPOCH, 105))
    routes.on_loss(Position("e2", 3), "epoch")
    one.frames.clear()
    routes.on_message(pub("order:a", 4, "e2"))
    assert one.frames == ["order:a 4"]


def test_thousands_of_patterns_are_not_compiled_for_each_message(routes: Any) -> None:
    connections = [Pushed(f"c{number}") for number in range(5000)]
    for number, each in enumerate(connections):
        routes.subscribe(f"room:{number}:*", each, Position(EPOCH, 100))
    compiled = names.matcher.cache_info().misses
    for offset in range(101, 104):
        routes.on_message(pub(f"room:4999:{offset}", offset))
    assert len(connections[4999].frames) == 3
    assert not connections[0].frames
    assert names.matcher.cache_info().misses == compiled


def test_a_message_costs_the_same_however_many_patterns_there_are(routes: Any) -> None:
    def subscribe(numbers: range) -> None:
        for number in numbers:
            routes.subscribe(f"room:{number}:*", Pushed(f"c{number}"), Position(EPOCH, 100))

    def calls_for(message: BusMessage) -> int:
        calls = 0

        def note(_frame: Any, event: str, _argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(note)
        try:
            routes.on_message(message)
        finally:
            sys.setprofile(None)
        return calls

    subscribe(range(1000, 1010))
    among_few = calls_for(pub("room:1005:a", 101))
    subscribe(range(1010, 6000))
    assert calls_for(pub("room:1005:b", 102)) == among_few


def test_channel_that_nobody_listens_to_is_looked_up_once(
    routes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    covering = PatternTree.covering

    def note(tree: PatternTree, channel: str) -> list[str]:
        looked_up.append(channel)
        return covering(tree, channel)

    monkeypatch.setattr(PatternTree, "covering", note)
    for user in range(10):
        routes.subscribe(f"user:{user}", Pushed(f"c{user}"), Position(EPOCH, 100))
    for offset in (101, 102, 103):
        routes.on_message(pub("user:elsewhere", offset))
        routes.subscribe(f"user:{offset}", Pushed(), Position(EPOCH, 100))
    assert looked_up == ["user:elsewhere"]
