"""JobQueue on a real Redis: first in, first out; statistics; stopped, emptied, silent."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pleme_redis_django import JobQueue
from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.redis_state.server.connections import COMMANDS, close_sync_clients
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.wakeups.conftest import blocked_clients, hint
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
    wait_until(lambda: blocked_clients() > 0)
    JobQueue("email").enqueue(one)
    thread.join(20)
    assert found == [one]


def test_a_nudge_does_not_end_the_wait_for_a_hint() -> None:
    JobQueue("*").nudge()
    queue, one, found = JobQueue("email"), hint(), []
    thread = threading.Thread(target=lambda: found.append(queue.dequeue(20)), daemon=True)
    thread.start()
    wait_until(lambda: blocked_clients() > 0)
    JobQueue("email").enqueue(one)
    thread.join(20)
    assert found == [one]


def test_an_emptied_redis_loses_hints_and_nothing_else(own_redis: RedisServer) -> None:
    queue, every = JobQueue("email"), JobQueue("*")
    queue.enqueue(hint())
    redis_client(COMMANDS).flushall()
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
