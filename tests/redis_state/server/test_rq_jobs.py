"""Jobs of rq-scheduler, as bytes: in order, bounded, and nothing of them changed."""

from __future__ import annotations

import pytest

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.server import rq_jobs
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.server.rq_jobs import FIELD_MAX_BYTES, SCHEDULED, scheduled_rq_jobs


def test_jobs_come_in_the_order_of_their_times_across_batches() -> None:
    client = redis_client()
    client.zadd(SCHEDULED, {f"job {number}": -number for number in range(250)})
    client.hset("rq:job:job 7", mapping={"data": b"\x80", "status": b"scheduled"})
    jobs = list(scheduled_rq_jobs(None))
    assert [job.id for job in jobs] == [f"job {number}" for number in reversed(range(250))]
    assert [job.fields for job in jobs if job.id == "job 7"] == [{"data": b"\x80"}]
    assert not any(job.fields for job in jobs if job.id != "job 7")


def test_field_that_is_too_large_is_not_fetched() -> None:
    client = redis_client()
    client.zadd(SCHEDULED, {"large": 1})
    client.hset("rq:job:large", "description", b"x" * (FIELD_MAX_BYTES + 1))
    ((job),) = scheduled_rq_jobs(None)
    assert (job.too_large, job.fields) == (True, {})


def test_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rq_jobs, "MAX_JOBS", 2)
    redis_client().zadd(SCHEDULED, {"a": 1, "b": 2, "c": 3})
    with pytest.raises(ValueError, match=r"has 3 jobs\. Accepted: 2"):
        list(scheduled_rq_jobs(None))


def test_something_else_of_that_name_is_refused() -> None:
    redis_client().set(SCHEDULED, "x")
    with pytest.raises(ValueError, match="rq:scheduler:scheduled_jobs cannot be read"):
        list(scheduled_rq_jobs(None))


def test_server_that_is_away_is_said() -> None:
    with pytest.raises(RedisUnavailable):
        list(scheduled_rq_jobs("redis://127.0.0.1:1/0"))
