"""Which job holds a unique place, as Redis remembers it: a hint that saves the database's round trips.

The lock is on product, job type and the digest of the parameters (the job's unique slot). It proves
nothing: the unique slot in the database decides, and the caller checks there what it is told here.
"""

from __future__ import annotations

from uuid import UUID

import redis

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.server.connections import HINTS, redis_client
from pleme_redis_django.redis_state.server.keyspace import unique_slot
from pleme_redis_django.redis_state.server.redis_call import script_call
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker

# Long enough for bursts of equal enqueues; a longer-lived slot is found in the database.
MEMORY_MS = 3600 * 1000


def take_slot(product: str, slot: str, job_id: UUID) -> UUID | None:
    """Take the place for a job that is about to be stored; return the job that took it before, if any.

    None also when Redis is away: nothing is known then.
    """
    if not hint_breaker.allows():
        return None
    try:
        arguments = (str(job_id), MEMORY_MS)
        holder = script_call(
            "slot_take", [unique_slot(product, slot)], arguments, read=_job_id, profile=HINTS
        ).run()
    except RedisUnavailable as error:
        hint_breaker.failed(error)
        return None
    hint_breaker.succeeded()
    return holder


def note_slot(product: str, slot: str, job_id: UUID) -> None:
    """Remember which job holds the place, whatever was remembered before."""
    if not hint_breaker.allows():
        return
    try:
        redis_client(HINTS).set(unique_slot(product, slot), str(job_id), px=MEMORY_MS)
    except redis.RedisError as error:
        hint_breaker.failed(error)


def _job_id(holder: bytes | None) -> UUID | None:
    try:
        return UUID(holder.decode()) if holder else None
    except ValueError:
        return None
