"""The script of a change: what it asks of Redis, and what it does when a key of its scope was lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.server.redis_call import redis_client
from tests.round_trips import count_round_trips
from tests.twins import Twin


@pytest.fixture
def presence(twin: Callable[[Any], Twin]) -> Twin:
    return twin(PresenceManager("acme"))


async def test_a_change_reads_each_value_once(presence: Twin) -> None:
    await presence.set_online(1, "a")
    with count_round_trips() as calls:
        await presence.set_online(2, "b")
    assert (calls.of("hget"), calls.of("zscore"), calls.of("exists")) == (2, 0, 0)
    with count_round_trips() as calls:
        await presence.set_idle(2, "b")
    assert (calls.of("hget"), calls.of("exists"), calls.of("pexpire")) == (2, 0, 2)
    with count_round_trips() as calls:
        await presence.set_offline(2)
    assert (calls.of("hget"), calls.of("exists")) == (2, 1)


async def test_version_that_an_idle_user_begins_expires(presence: Twin) -> None:
    await presence.set_online(42, "tab1")
    version = PresenceManager("acme").keys.version
    redis_client().delete(version)
    assert await presence.set_idle(42, "tab1")
    assert 0 < redis_client().pttl(version) <= 24 * 3600 * 1000


async def test_connection_whose_record_was_lost_can_be_marked_and_left(presence: Twin) -> None:
    await presence.set_online(42, "tab1")
    redis_client().delete(PresenceManager("acme").keys.records)
    assert not await presence.set_idle(42, "tab1")
    assert await presence.set_offline(42, "tab1")
    assert not await presence.is_online(42)
