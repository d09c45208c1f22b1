"""RedisWorkerCalls: a list for each worker process, on which it is called to look at its rows now."""

from __future__ import annotations

from collections.abc import Collection

import redis

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.server.connections import HINTS, POPS, redis_client
from pleme_redis_django.redis_state.server.keyspace import worker_calls
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker

# A call that nobody has taken by then is for a process that is gone, or that has looked meanwhile.
CALL_TTL_SECONDS = 60
_CALL = b"{}"


class RedisWorkerCalls:
    """The WorkerCalls of the engine."""

    def wait_for_call(self, worker_id: str, timeout_seconds: float) -> bool:
        """Wait until the worker is called, 30 s at most; return whether it was. Raises redis.RedisError."""
        return redis_client(POPS).brpop([worker_calls(worker_id)], timeout=timeout_seconds) is not None


def call_workers(worker_ids: Collection[str]) -> None:
    """Call worker processes, in one round trip; does not raise when Redis is away."""
    if not worker_ids or not hint_breaker.allows():
        return
    try:
        pipeline = redis_client(HINTS).pipeline(transaction=False)
        for worker_id in worker_ids:
            key = worker_calls(worker_id)
            pipeline.lpush(key, _CALL)
            pipeline.ltrim(key, 0, 0)
            pipeline.expire(key, CALL_TTL_SECONDS)
        pipeline.execute()
    except (RedisUnavailable, redis.RedisError, OSError) as error:
        hint_breaker.failed(error)
    else:
        hint_breaker.succeeded()
