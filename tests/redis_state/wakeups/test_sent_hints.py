"""Hints that an enqueue sends without waiting for the answer: what goes wrong shows at the next one."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import threading
from typing import Any

import pytest
import redis

from pleme_redis_django import JobQueue
from pleme_redis_django.conf import get_settings
from pleme_redis_django.redis_state.server import one_way
from pleme_redis_django.redis_state.server.connections import HINTS, close_sync_clients
from pleme_redis_django.redis_state.server.keyspace import hint_list
from pleme_redis_django.redis_state.wakeups import breaker, redis_hints
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.wakeups.conftest import hint
from tests.waiting import wait_until


@pytest.fixture
def patience() -> float:
    """For how many seconds an answer is waited for."""
    return 20.0


@pytest.fixture
def queue(own_redis: RedisServer, patience: float, monkeypatch: pytest.MonkeyPatch) -> JobQueue:
    """A queue whose hints go out on a connection that is kept: the first two waited for their answers."""
    profile = dataclasses.replace(HINTS, connect_timeout_seconds=patience, read_timeout_seconds=patience)
    monkeypatch.setattr(redis_hints, "HINTS", profile)
    monkeypatch.setattr(redis_hints, "REMEMBER_AGAIN_SECONDS", 3_600)
    monkeypatch.setattr(breaker, "PAUSE_SECONDS", 3_600)
    queue = JobQueue("email")
    send(queue, 3)
    arrived(3)
    return queue


def send(queue: JobQueue, count: int = 1) -> None:
    for _ in range(count):
        queue.send("email", [hint()])


def arrived(count: int) -> None:
    with redis.Redis.from_url(str(get_settings().url)) as client:
        wait_until(lambda: client.llen(hint_list("jobs", "email")) == count)


def kill_connections() -> None:
    """Have the server close every connection of this process, as it does with idle ones."""
    with redis.Redis.from_url(str(get_settings().url)) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def test_hints_arrive_as_they_were_sent(queue: JobQueue) -> None:
    one, two = hint(), hint(product="größer", job_type="x" * 200)
    queue.send("email", [one, two])
    arrived(5)
    assert [queue.dequeue(0) for _ in range(5)][3:] == [one, two]
    queue.send("email", [hint() for _ in range(2_000)])
    arrived(2_000)
    assert queue.stats().pushed == 2_005


@pytest.mark.parametrize("patience", [1.0])
def test_a_server_that_hangs_is_waited_for_at_the_next_hint_and_not_at_this_one(
    queue: JobQueue, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    own_redis.send_signal(signal.SIGSTOP)
    with caplog.at_level(logging.WARNING):
        send(queue)
        assert hint_breaker.allows()
        assert not caplog.records
        send(queue)
        assert not hint_breaker.allows()
        send(queue, 5)
    own_redis.send_signal(signal.SIGCONT)
    assert len(caplog.records) == 1
    assert "(TimeoutError)" in caplog.text
    arrived(4)
    hint_breaker.reset()
    send(queue)
    arrived(5)


def test_a_connection_that_the_server_closed_costs_no_hint(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    for count in (4, 5, 6):
        kill_connections()
        send(queue)
        arrived(count)
    assert not caplog.records


def test_a_hint_that_a_restart_swallowed_is_sent_again_with_the_next(
    queue: JobQueue, own_redis: RedisServer
) -> None:
    own_redis.send_signal(signal.SIGSTOP)
    send(queue)
    own_redis.kill()
    own_redis.start()
    send(queue)
    arrived(2)


def test_a_server_that_lost_the_script_gets_both_hints(queue: JobQueue) -> None:
    with redis.Redis.from_url(str(get_settings().url)) as client:
        client.script_flush()
    send(queue, 2)
    arrived(5)


def test_an_error_shows_at_the_next_hint_and_is_told_once(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis.from_url(str(get_settings().url)) as client:
        client.config_set("maxmemory", 1)
        with caplog.at_level(logging.INFO):
            send(queue)
            assert not caplog.records
            send(queue, 3)
            assert len(caplog.records) == 1
            assert "(ServerRefuses)" in caplog.text
            client.config_set("maxmemory", 0)
            hint_breaker._closed_until = 0.0  # as time passes
            send(queue)
    assert "takes wake-up hints again" in caplog.text
    arrived(4)


def test_a_stopped_server_costs_hints_and_one_warning(
    queue: JobQueue, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    own_redis.kill()
    with caplog.at_level(logging.WARNING):
        send(queue, 5)
    assert len(caplog.records) == 1


def test_threads_send_beside_each_other_on_as_many_connections(queue: JobQueue) -> None:
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        send(queue, 50)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    arrived(403)
    assert 1 <= len(one_way._free_lines) <= 8


def test_a_forked_child_leaves_the_connections_to_its_parent(queue: JobQueue) -> None:
    send(queue)  # whose answer is still to come
    if not (child := os.fork()):
        try:
            send(queue, 3)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    send(queue, 2)
    arrived(9)


def test_after_a_change_of_the_settings_hints_go_to_the_other_server(queue: JobQueue, settings: Any) -> None:
    with RedisServer() as other:
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": other.url()}
        send(queue, 3)
        arrived(3)
        assert len(one_way._free_lines) == 1
        close_sync_clients()


def test_what_interrupts_a_hint_closes_its_connection(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(one_way._Line, "send", interrupted)
        with pytest.raises(KeyboardInterrupt):
            send(queue)
    assert not one_way._free_lines
    send(queue, 2)
    arrived(5)
