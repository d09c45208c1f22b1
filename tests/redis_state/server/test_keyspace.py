"""The names of the Redis keys: no name that a user chooses runs into another key."""

from __future__ import annotations

import pytest

from pleme_redis_django.redis_state.server import keyspace

HOSTILE = ["a:b", "*", "{x}", "a\nb", "../x", "\ud800", "x" * 10_000, ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stands_in_a_key_as_32_digits(name: str) -> None:
    assert len(keyspace.digest(name)) == 32
    assert set(keyspace.digest(name)) <= set("0123456789abcdef")


def test_a_name_is_not_its_neighbours() -> None:
    assert len({keyspace.digest(name) for name in HOSTILE}) == len(HOSTILE)
    assert keyspace.cache_entry("acme", "a:b") != keyspace.cache_entry("acme", "a") + ":b"


def test_the_keys_of_one_script_lie_in_one_slot() -> None:
    for keys in (keyspace.lock_keys("acme", "{x}"), keyspace.presence_keys("acme", "room:{1}")):
        assert len({key[key.index("{") : key.index("}") + 1] for key in keys}) == 1
        assert len(set(keys)) == len(keys)


def test_a_held_lock_is_known_by_the_digest_in_its_key() -> None:
    keys = keyspace.lock_keys("acme", "stock:1")
    assert keyspace.lock_digest_of(keys.lock) == keyspace.digest("stock:1")
    assert keyspace.lock_keys_by_digest("acme", keyspace.digest("stock:1")) == keys
