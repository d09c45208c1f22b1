"""Which job holds a unique place, as Redis remembers it: a hint that saves the database's round trips.

The lock is on product, job type and the digest of the parameters (the job's unique slot). It proves
nothing: the unique slot in the database decides, and the caller checks there what it is told here.
"""

from __future__ import annotations

from uuid import UUID

import redis

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.connections import HINTS, redis_client
from pleme_redis_django.redis_state.hint_breaker import hint_breaker
from pleme_redis_django.redis_state.keyspace import unique_place
from pleme_redis_django.redis_state.redis_call import script_call

# Long enough for bursts of equal enqueues; a longer-lived slot is found in the database.
MEMORY_MS = 3600 * 1000


def take_place(product: str, slot: str, job_id: UUID) -> UUID | None:
    """Take the place for a job that is about to be stored; return the job that took it before, if any.

    None also when Redis is away: nothing is known then.
    """
    if not hint_breaker.allows():
        return None
    try:
        arguments = (str(job_id), MEMORY_MS)
        holder = script_call(
            "unique_place", [unique_place(product, slot)], arguments, read=_job_id, profile=HINTS
        ).run()
    except RedisUnavailable as error:
        hint_breaker.failed(error)
        return None
    hint_breaker.succeeded()
    return holder


def note_place(product: str, slot: str, job_id: UUID) -> None:
    """Remember which job holds the place, whatever was remembered before."""
    if not hint_breaker.allows():
        return
    try:
        redis_client(HINTS).set(unique_place(product, slot), str(job_id), px=MEMORY_MS)
    except redis.RedisError as error:
        hint_breaker.failed(error)


def _job_id(holder: bytes | None) -> UUID | None:
    try:
        return UUID(holder.decode()) if holder else None
    except ValueError:
        return None
