"""JobQueue on a real Redis: first in, first out; statistics; stopped, emptied, silent."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from pleme_redis_django import JobQueue
from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import close_sync_clients
from pleme_redis_django.redis_state.wakeups import job_queue
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker
from pleme_redis_django.redis_state.wakeups.job_queue import decode_hint, encode_hint
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.wakeups.conftest import hint
from tests.waiting import wait_until


def test_first_in_first_out() -> None:
    queue, hints = JobQueue("email"), [hint() for _ in range(3)]
    for one in hints:
        assert queue.enqueue(one) is True
    assert [queue.dequeue(0) for _ in range(4)] == [*hints, None]


@pytest.mark.parametrize("seconds", [1e-9, 0.0009, 0.001])
def test_a_wait_of_a_moment_ends(seconds: float) -> None:
    assert JobQueue("email").dequeue(seconds) is None


def test_many_at_once_keep_their_order() -> None:
    queue, hints = JobQueue("email"), [hint() for _ in range(2_500)]
    assert queue.push("email", hints) is True
    assert [queue.dequeue(0) for _ in range(3)] == hints[:3]
    assert queue.stats().length == 2_497


def test_what_is_stored_of_a_hint() -> None:
    one = hint()
    assert decode_hint(encode_hint(one)) == one
    assert b"parameters" not in encode_hint(one)


@pytest.mark.parametrize(
    "element", [b"", b"{}", b"[]", b"null", b"5", b"\xff\xfe", b'{"job_id":"x"}', b'"text"', b"{" * 10_000]
)
def test_what_is_no_hint_is_none(element: bytes) -> None:
    assert decode_hint(element) is None


def test_statistics() -> None:
    queue = JobQueue("email")
    assert (queue.stats().length, queue.stats().oldest_age_seconds) == (0, None)
    queue.enqueue(hint(enqueued_at=datetime.now(UTC) - timedelta(seconds=90)))
    queue.enqueue(hint())
    queue.dequeue(0)
    queue.enqueue(hint())
    found = queue.stats()
    assert (found.length, found.pushed, found.popped) == (2, 3, 1)
    assert found.oldest_age_seconds is not None
    assert 0 <= found.oldest_age_seconds < 60
    assert JobQueue("sms").stats().pushed == 0


def test_the_oldest_is_the_next_to_be_popped() -> None:
    queue = JobQueue("email")
    queue.enqueue(hint(enqueued_at=datetime.now(UTC) - timedelta(seconds=90)))
    queue.enqueue(hint())
    age = queue.stats().oldest_age_seconds
    assert age is not None
    assert 89 < age < 150


def test_a_list_is_trimmed_to_its_newest() -> None:
    queue, hints = JobQueue("email"), [hint() for _ in range(10_050)]
    assert queue.push("email", hints) is True
    assert queue.stats().length == 10_000
    assert queue.dequeue(0) == hints[50]
    queue.push("email", [hint(), hint(), hint()])
    assert queue.stats().length == 10_000


def test_queues_and_namespaces_do_not_mix() -> None:
    queues = [JobQueue("email"), JobQueue("sms"), JobQueue("email", "other")]
    hints = [hint() for _ in queues]
    for queue, one in zip(queues, hints, strict=True):
        queue.enqueue(one)
    assert [queue.dequeue(0) for queue in queues] == hints


@pytest.mark.parametrize("name", ["a:b", "a b", "{a}", "a\n", "", "x" * 65])
def test_a_hostile_name_is_refused_before_a_key_is_built(name: str) -> None:
    with pytest.raises(InvalidName):
        JobQueue(name)
    with pytest.raises(InvalidName):
        JobQueue("email", name)


def test_what_is_about_one_queue_is_refused_for_several() -> None:
    for queue in (JobQueue("*"), JobQueue(["email", "sms"])):
        for call in (lambda queue=queue: queue.enqueue(hint()), queue.stats):
            with pytest.raises(InvalidName, match="one queue name"):
                call()


def test_a_waiting_dequeue_gets_what_comes() -> None:
    queue, one, found = JobQueue("email"), hint(), []
    JobQueue("email").enqueue(hint())
    assert queue.dequeue(0) is not None
    thread = threading.Thread(target=lambda: found.append(queue.dequeue(20)), daemon=True)
    thread.start()
    wait_until(lambda: _blocked_clients() > 0)
    JobQueue("email").enqueue(one)
    thread.join(20)
    assert found == [one]


def test_a_nudge_does_not_end_the_wait_for_a_hint() -> None:
    JobQueue("*").nudge()
    queue, one, found = JobQueue("email"), hint(), []
    thread = threading.Thread(target=lambda: found.append(queue.dequeue(20)), daemon=True)
    thread.start()
    wait_until(lambda: _blocked_clients() > 0)
    JobQueue("email").enqueue(one)
    thread.join(20)
    assert found == [one]


def _blocked_clients() -> int:
    info: Any = job_queue.redis_client(job_queue.COMMANDS).info("clients")
    return int(info["blocked_clients"])


def test_waiting_takes_every_hint_that_is_there() -> None:
    pool = JobQueue(["email", "sms"])
    for _ in range(5):
        JobQueue("email").enqueue(hint())
        JobQueue("sms").enqueue(hint())
    assert pool.wait_for_hint(1) is True
    assert [JobQueue(name).stats().length for name in ("email", "sms")] == [0, 0]
    assert pool.wait_for_hint(0.01) in (True, False)
    assert [JobQueue(name).stats().popped for name in ("email", "sms")] == [5, 5]


def test_a_queue_name_that_is_new_wakes_a_worker_of_every_queue() -> None:
    every, woken = JobQueue("*"), []
    assert every.wait_for_hint(0.01) is False
    thread = threading.Thread(target=lambda: woken.append(every.wait_for_hint(20)), daemon=True)
    thread.start()
    wait_until(lambda: _blocked_clients() > 0)
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
            assert 0 < client.ttl(keyspace.hint_list("jobs", name)) <= 3_600  # type: ignore[operator]
        client.zincrby(names, -3_601, "tenant1")
        JobQueue("tenant2").enqueue(hint())
        assert client.zrange(names, 0, -1) == [b"tenant2"]
        counters = keyspace.hint_counters("jobs")
        assert client.hkeys(counters) == [b"pushed:tenant2"]
        assert 3_600 <= client.ttl(counters) <= 7_200  # type: ignore[operator]
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
    queue = JobQueue(names)
    queue.nudge()
    assert queue.wait_for_hint(20) is True
    assert queue.wait_for_hint(0.01) is False


def test_an_emptied_redis_loses_hints_and_nothing_else(own_redis: RedisServer) -> None:
    queue, every = JobQueue("email"), JobQueue("*")
    queue.enqueue(hint())
    job_queue.redis_client(job_queue.COMMANDS).flushall()
    assert queue.dequeue(0) is None
    one = hint()
    assert queue.enqueue(one) is True
    assert every.wait_for_hint(20) is True


def test_a_silent_redis_does_not_hold_up_the_caller(settings: Any) -> None:
    """It accepts connections and answers nothing: every command costs its timeout, and then a pause."""
    with socket.create_server(("127.0.0.1", 0)) as blackhole:
        port = blackhole.getsockname()[1]
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": f"redis://127.0.0.1:{port}/0"}
        queue = JobQueue("email")
        assert queue.enqueue(hint()) is False
        assert hint_breaker.allows() is False
        blackhole.close()
        assert queue.enqueue(hint()) is False
        close_sync_clients()


def test_every_wait_for_redis_is_bounded() -> None:
    for profile in (job_queue.HINTS, job_queue.POPS, job_queue.COMMANDS):
        assert profile.read_timeout_seconds is not None
        assert profile.connect_timeout_seconds <= 2
    assert job_queue.HINTS.read_timeout_seconds == 0.25
    assert job_queue.POPS.read_timeout_seconds > job_queue.LONGEST_POP_SECONDS
    assert job_queue.POPS.retries == job_queue.HINTS.retries == 0
