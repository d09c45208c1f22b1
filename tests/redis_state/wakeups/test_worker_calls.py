"""Calls of worker processes on a real Redis: taken once, short-lived, and never in the caller's way."""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest
import redis
from django.test import override_settings

from pleme_redis_django.jobs.interface.workers import WorkerIdentity
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.call_listener import CallListener
from pleme_redis_django.redis_state.server.keyspace import worker_calls
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.wakeups.worker_calls import (
    CALL_TTL_SECONDS,
    RedisWorkerCalls,
    call_workers,
)
from tests.waiting import wait_until

CALLS = RedisWorkerCalls()


def test_a_call_is_taken_once_by_the_worker_that_it_is_for() -> None:
    worker, other = str(uuid4()), str(uuid4())
    call_workers([worker])
    assert CALLS.wait_for_call(other, 0.05) is False
    assert CALLS.wait_for_call(worker, 0.05) is True
    assert CALLS.wait_for_call(worker, 0.05) is False


def test_many_calls_are_one_and_do_not_stay() -> None:
    worker = str(uuid4())
    for _ in range(5):
        call_workers([worker])
    assert redis_client().llen(worker_calls(worker)) == 1
    assert 0 < redis_client().ttl(worker_calls(worker)) <= CALL_TTL_SECONDS


def test_a_call_while_redis_is_away_is_lost_without_a_word() -> None:
    with override_settings(PLEME_REDIS={"URL": "redis://127.0.0.1:1/0"}):
        call_workers([str(uuid4())])
        with pytest.raises(redis.RedisError):
            CALLS.wait_for_call(str(uuid4()), 0.05)


def test_the_listener_calls_back_for_each_call() -> None:
    identity, called = WorkerIdentity(), threading.Event()
    listener = CallListener(CALLS, identity, Agenda(60), on_call=called.set)
    listener.start()
    for _ in range(3):
        call_workers([identity.worker_id])
        wait_until(called.is_set)
        called.clear()
    listener.stop()
    call_workers([identity.worker_id])  # ends its wait
    wait_until(lambda: not listener._thread.is_alive())
    assert not called.is_set()
