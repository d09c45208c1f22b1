"""Which job holds a unique slot, as Redis remembers it: a hint that saves the database's round trips.

The slot stands for product, job type and the digest of the parameters. Redis proves nothing: the database
decides, and the caller checks there what Redis says.
"""

from __future__ import annotations

from uuid import UUID

from pleme_redis_django.redis_state.server.connections import HINTS
from pleme_redis_django.redis_state.server.keyspace import unique_slot
from pleme_redis_django.redis_state.server.redis_call import RedisCall, script_call
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker

# Long enough for bursts of equal enqueues; a longer-lived slot is found in the database.
MEMORY_MS = 3600 * 1000


def take_slot(product: str, slot: str, job_id: UUID) -> UUID | None:
    """Take the slot for a job that is about to be stored; return the job that has taken it before, if any.

    Also None if Redis is away: then nothing is known.
    """
    keys, arguments = [unique_slot(product, slot)], (str(job_id), MEMORY_MS)
    return hint_breaker.ask(script_call("slot_take", keys, arguments, read=_job_id, profile=HINTS))


def note_slot(product: str, slot: str, job_id: UUID) -> None:
    """Note which job holds the slot, whatever was noted before."""
    command = ("SET", unique_slot(product, slot), str(job_id), "PX", MEMORY_MS)
    hint_breaker.ask(RedisCall(command, profile=HINTS))


def _job_id(holder: bytes | None) -> UUID | None:
    try:
        return UUID(holder.decode()) if holder else None
    except ValueError:
        return None
