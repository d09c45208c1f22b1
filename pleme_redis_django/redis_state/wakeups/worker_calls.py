"""RedisWorkerCalls: a list for each worker process, on which it is called to look at its rows now."""

from __future__ import annotations

from collections.abc import Collection

from pleme_redis_django.redis_state.server.connections import HINTS, POPS
from pleme_redis_django.redis_state.server.keyspace import worker_calls
from pleme_redis_django.redis_state.server.redis_call import RedisPipeline, redis_client
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker

# A call that nobody has taken by then is for a process that has gone, or has looked meanwhile.
CALL_TTL_SECONDS = 60
_CALL = b"{}"


class RedisWorkerCalls:
    """The WorkerCalls of the engine."""

    def wait_for_call(self, worker_id: str, timeout_seconds: float) -> bool:
        """Wait until the worker is called, 30 s at most; return whether it was. Raises redis.RedisError."""
        return redis_client(POPS).brpop([worker_calls(worker_id)], timeout=timeout_seconds) is not None


def call_workers(worker_ids: Collection[str]) -> None:
    """Call worker processes in one round trip; does not raise if Redis is away."""
    commands = []
    for worker_id in worker_ids:
        key = worker_calls(worker_id)
        commands += [("LPUSH", key, _CALL), ("LTRIM", key, 0, 0), ("EXPIRE", key, CALL_TTL_SECONDS)]
    if commands:
        hint_breaker.ask(RedisPipeline(tuple(commands), profile=HINTS))
