"""Redis remembers who holds a unique slot, and proves nothing by it."""

from __future__ import annotations

from uuid import uuid4

import redis

from pleme_redis_django.redis_state.server.keyspace import unique_slot
from pleme_redis_django.redis_state.wakeups.unique_slots import MEMORY_MS, note_slot, take_slot


def test_who_comes_second_learns_who_was_first() -> None:
    first, second = uuid4(), uuid4()
    assert take_slot("acme", "slot", first) is None
    assert take_slot("acme", "slot", first) is None
    assert take_slot("acme", "slot", second) == first
    assert take_slot("other", "slot", second) is None


def test_what_is_noted_counts_from_then_on(raw_redis: redis.Redis) -> None:
    first, holder = uuid4(), uuid4()
    take_slot("acme", "slot", first)
    note_slot("acme", "slot", holder)
    assert take_slot("acme", "slot", first) == holder
    assert 0 < raw_redis.pttl(unique_slot("acme", "slot")) <= MEMORY_MS


def test_what_is_not_an_id_says_nothing(raw_redis: redis.Redis) -> None:
    raw_redis.set(unique_slot("acme", "slot"), "nobody's id")
    assert take_slot("acme", "slot", uuid4()) is None
