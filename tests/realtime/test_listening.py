"""What a connection is told when some of what it listens to was lost."""

from __future__ import annotations

import json
from typing import Any

from pleme_redis_django.realtime.head_routes import HeadRoutes
from pleme_redis_django.realtime.listening import Listening
from pleme_redis_django.redis_state.pubsub.messages import Position


class Feed:
    position = Position("e1", 7)


async def test_each_subscription_and_each_room_is_told() -> None:
    live: Any = HeadRoutes()
    live.feed = Feed()
    listening = Listening()
    listening.subscriptions.update({"order:*": live, "order:1": live, "room:*": HeadRoutes()})
    listening.rooms.update({"room:1": True, "room:2": False})
    told = [json.loads(frame)["resync"] for frame in listening.resyncs()]
    assert [each.get("ch") or each.get("pres") for each in told] == ["order:*", "order:1", "room:1", "room:2"]
    assert told[0]["pos"] == ["e1", 7]
