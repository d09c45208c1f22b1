"""What the tests of pub/sub share."""

from __future__ import annotations

import pytest

from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.pubsub.messages import Position


@pytest.fixture
def manager() -> PubSubManager:
    return PubSubManager("acme")


def start_of(position: Position | None) -> Position:
    assert position is not None
    return Position(position.epoch, position.offset - 1)
