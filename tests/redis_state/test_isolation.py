"""Nothing crosses a product: every call is replayed under a look-alike product, and all keys are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pleme_redis_django import CacheManager, LockManager
from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import NotACounter
from pleme_redis_django.redis_state.cache.stores import native_url

# Each pair would meet in some naive way of building keys.
LOOK_ALIKES = [("a", "a-"), ("a", "aa"), ("a-b", "a"), ("acme", "acme-2"), ("1", "10"), ("x", "x--")]
NAMES = st.sampled_from(
    ["x", "-:x", ":x", "b:x", "*", "{x}", "}:x", "b}:x", "x\n", "lock", "generation", "cache"]
)

CALLS: dict[str, Callable[[str, str], Any]] = {
    "lock": lambda product, name: LockManager(product).try_lock(name, 60) is not None,
    "release": lambda product, name: (
        LockManager(product).force_release(name, by="test", reason="") is not None
    ),
    "holder": lambda product, name: LockManager(product).holder(name) is not None,
    "held": lambda product, name: sorted(held.name for held in LockManager(product).held_locks()),
    "permit": lambda product, name: LockManager(product).semaphore(name, 2, 60).try_acquire() is not None,
    "set": lambda product, name: CacheManager(product).set(name, name, 60, tags=[name]),
    "count": lambda product, name: CacheManager(product).set(name, 1, 60),
    "get": lambda product, name: CacheManager(product).get(name),
    "incr": lambda product, name: _incr(product, name),
    "build": lambda product, name: CacheManager(product).get_or_set(name, lambda: name, 60, beta=0),
    "delete": lambda product, name: CacheManager(product).delete(name),
    "flush tag": lambda product, name: CacheManager(product).flush_tags(name),
    "flush": lambda product, name: CacheManager(product).flush_product(),
}


def _incr(product: str, name: str) -> Any:
    try:
        return CacheManager(product).incr(name)
    except NotACounter:
        return "no counter"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    products=st.sampled_from(LOOK_ALIKES).flatmap(st.permutations),
    calls=st.lists(st.tuples(st.sampled_from(sorted(CALLS)), NAMES), min_size=1, max_size=15),
)
def test_calls_under_one_product_change_no_key_and_no_answer_of_another(
    products: list[str], calls: list[tuple[str, str]]
) -> None:
    one, other = products
    with (
        redis.Redis.from_url(str(get_settings().url)) as locks,
        redis.Redis.from_url(str(native_url("default"))) as cache,
    ):
        locks.flushdb()
        cache.flushdb()
        answers = [CALLS[call](one, name) for call, name in calls]
        before = {**contents(locks), **contents(cache)}
        assert [CALLS[call](other, name) for call, name in calls] == answers
        after = {**contents(locks), **contents(cache)}
    added = after.keys() - before.keys()
    lasting_before, lasting_after = lasting(before), lasting(after)
    assert {key: value for key, value in lasting_after.items() if key in before} == lasting_before
    assert len(lasting_after) == 2 * len(lasting_before)
    assert all(f"{{{other}}}".encode() in key or f"{{{other}:".encode() in key for key in added)


def contents(client: redis.Redis) -> dict[bytes, Any]:
    """Every key with its value, but for the counters, which each process reports when it is time."""
    keys: Any = client.keys("*")
    return {key: client.dump(key) for key in keys if not key.endswith(b":cache:counters")}


def lasting(keys: dict[bytes, Any]) -> dict[bytes, Any]:
    """Return what is there for longer than a second: wake-ups may be gone before they are looked at."""
    return {key: value for key, value in keys.items() if not key.endswith(b":wake")}
