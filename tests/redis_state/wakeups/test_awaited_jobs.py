"""Who waits for the end of a job, and how a worker tells them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
import redis

from pleme_redis_django.jobs.interface.endings import Completed, Ending, Failed, Retried
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.interface.job import JobClaim
from pleme_redis_django.redis_state.server.keyspace import awaited_jobs, job_end
from pleme_redis_django.redis_state.wakeups import awaited_jobs as module
from pleme_redis_django.redis_state.wakeups.awaited_jobs import (
    MAX_BATCHES,
    EndNotices,
    register_wait,
    wait_for_end,
)
from tests.round_trips import count_round_trips
from tests.waiting import wait_until

FAILURE = engine_failure("x", "x", "t")
CLAIM = JobClaim(worker_id="w", attempt=1)


def ended(job_id: UUID, kind: type[Any] = Completed, **fields: Any) -> Ending:
    return kind(job_id=job_id, claim=CLAIM, run_seconds=0.1, **fields)


def told(notices: EndNotices, *endings: Ending) -> None:
    notices._batches.append(endings)
    notices.tell()


def test_everybody_who_waits_is_told(raw_redis: redis.Redis) -> None:
    job_id = uuid4()
    register_wait(job_id).run()
    told(EndNotices(), ended(uuid4()), ended(job_id, Failed, failure=FAILURE))
    assert [wait_for_end(job_id, 1).run() for _ in range(2)] == [b"1", b"1"]
    assert 0 < raw_redis.ttl(job_end(str(job_id))) <= module.END_TTL_SECONDS


def test_where_nobody_waits_one_command_is_sent() -> None:
    with count_round_trips() as calls:
        told(EndNotices(), *(ended(uuid4()) for _ in range(50)))
    assert calls.by_command() == {"exists": 1}


def test_an_attempt_that_is_retried_is_no_end(raw_redis: redis.Redis) -> None:
    job_id = uuid4()
    register_wait(job_id).run()
    told(EndNotices(), ended(job_id, Retried, failure=FAILURE, retry_count=1, delay_seconds=1.0))
    assert not raw_redis.exists(job_end(str(job_id)))


def test_who_died_while_waiting_is_forgotten(raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now - 60)
    register_wait(uuid4()).run()
    monkeypatch.undo()
    alive = uuid4()
    register_wait(alive).run()
    assert raw_redis.zrange(awaited_jobs(), 0, -1) == [str(alive).encode()]
    assert 0 < raw_redis.ttl(awaited_jobs()) <= module.REGISTERED_SECONDS


def test_what_cannot_be_told_in_time_is_bounded() -> None:
    notices = EndNotices()
    for _ in range(MAX_BATCHES + 10):
        notices._batches.append([ended(uuid4())])
    assert len(notices._batches) == MAX_BATCHES


def test_the_thread_tells_and_goes_on_after_an_error(
    raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    notices, job_id = EndNotices(), uuid4()
    register_wait(job_id).run()
    monkeypatch.setattr(module, "_tell", lambda ids: 1 / 0)
    notices.add([ended(uuid4())])
    wait_until(lambda: "were not told" in caplog.text)
    monkeypatch.undo()
    notices.add([ended(job_id)])
    assert wait_for_end(job_id, 2).run() == b"1"
