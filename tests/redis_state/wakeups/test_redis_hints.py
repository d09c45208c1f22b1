"""RedisHints on a real Redis: what an enqueue pushes, and how a worker pool is woken by it."""

from __future__ import annotations

import threading

import pytest
import redis

from pleme_redis_django import JobQueue
from pleme_redis_django.conf import get_settings
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import COMMANDS, HINTS, POPS
from pleme_redis_django.redis_state.wakeups.redis_hints import (
    LONGEST_POP_SECONDS,
    RedisHints,
    decode_hint,
    encode_hint,
)
from tests.redis_state.wakeups.conftest import blocked_clients, hint
from tests.waiting import wait_until


def test_what_is_stored_of_a_hint() -> None:
    one = hint()
    assert decode_hint(encode_hint(one)) == one
    assert b"parameters" not in encode_hint(one)


@pytest.mark.parametrize(
    "element", [b"", b"{}", b"[]", b"null", b"5", b"\xff\xfe", b'{"job_id":"x"}', b'"text"', b"{" * 10_000]
)
def test_what_is_no_hint_is_none(element: bytes) -> None:
    assert decode_hint(element) is None


def test_waiting_takes_every_hint_that_is_there() -> None:
    pool = RedisHints(["email", "sms"])
    for _ in range(5):
        JobQueue("email").enqueue(hint())
        JobQueue("sms").enqueue(hint())
    assert pool.wait_for_hint(1) is True
    assert [JobQueue(name).stats().length for name in ("email", "sms")] == [0, 0]
    assert pool.wait_for_hint(0.01) in (True, False)
    assert [JobQueue(name).stats().popped for name in ("email", "sms")] == [5, 5]


def test_a_queue_name_that_is_new_wakes_a_worker_of_every_queue() -> None:
    every, woken = RedisHints("*"), []
    assert every.wait_for_hint(0.01) is False
    thread = threading.Thread(target=lambda: woken.append(every.wait_for_hint(20)), daemon=True)
    thread.start()
    wait_until(lambda: blocked_clients() > 0)
    JobQueue("brand-new").enqueue(hint())
    thread.join(20)
    assert woken == [True]
    JobQueue("brand-new").enqueue(hint())
    assert every.wait_for_hint(20) is True


def test_a_queue_without_hints_for_long_is_forgotten_until_its_next_one() -> None:
    names = keyspace.hint_queue_names("jobs")
    with redis.Redis.from_url(str(get_settings().url)) as client:
        for name in ("tenant1", "tenant2"):
            JobQueue(name).enqueue(hint())
            assert 0 < client.ttl(keyspace.hint_list("jobs", name)) <= 3_600
        client.zincrby(names, -3_601, "tenant1")
        JobQueue("tenant2").enqueue(hint())
        assert client.zrange(names, 0, -1) == [b"tenant2"]
        counters = keyspace.hint_counters("jobs")
        assert client.hkeys(counters) == [b"pushed:tenant2"]
        assert 3_600 <= client.ttl(counters) <= 7_200
        client.delete(keyspace.hint_list("jobs", "tenant1"))  # as it expires
    every = JobQueue("*")
    assert every.wait_for_hint(20) is True
    assert every.wait_for_hint(0.01) is False
    JobQueue("tenant1").enqueue(again := hint())
    assert every.dequeue(20) == again


def test_a_process_has_a_queue_remembered_now_and_then_and_counts_every_push() -> None:
    queue, names = JobQueue("email"), keyspace.hint_queue_names("jobs")
    with redis.Redis.from_url(str(get_settings().url)) as client:
        queue.enqueue(hint())
        client.zincrby(names, -100, "email")
        before = client.zscore(names, "email")
        queue.push("email", [hint(), hint()])
        assert client.zscore(names, "email") == before
        assert (queue.stats().pushed, queue.stats().length) == (3, 3)
        queue._remembered_until.clear()  # as time passes
        queue.enqueue(hint())
        assert float(client.zscore(names, "email") or 0) >= float(before or 0) + 100


@pytest.mark.parametrize("names", ["*", "email"])
def test_a_nudge_wakes_one_worker(names: str) -> None:
    hints = RedisHints(names)
    hints.nudge()
    assert hints.wait_for_hint(20) is True
    assert hints.wait_for_hint(0.01) is False


def test_every_wait_for_redis_is_bounded() -> None:
    for profile in (HINTS, POPS, COMMANDS):
        assert profile.read_timeout_seconds is not None
        assert profile.connect_timeout_seconds <= 2
    assert HINTS.read_timeout_seconds == 0.25
    assert POPS.read_timeout_seconds > LONGEST_POP_SECONDS
    assert POPS.retries == HINTS.retries == 0
