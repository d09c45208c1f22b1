"""JobQueue: the hints of one queue as a FIFO for programs of your own, with its statistics.

A worker pool accepts it too, because it is RedisHints: ``dequeue`` does not get the hints that a pool takes.
"""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime
from typing import Any

from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.jobs.interface.job import QueuedJob
from pleme_redis_django.redis_state.server.connections import COMMANDS
from pleme_redis_django.redis_state.server.keyspace import hint_list
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.wakeups.redis_hints import (
    LONGEST_POP_SECONDS,
    RedisHints,
    decode_hint,
    queue_name_of,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatistics:
    """What is in one queue of hints now, and what has passed through it since it was last unused for an hour."""

    length: int
    oldest_age_seconds: float | None
    """Age of the hint that is popped next; None if there is none."""
    pushed: int
    popped: int


class JobQueue(RedisHints):
    """The hints of one queue, first in, first out."""

    def enqueue(self, queued: QueuedJob) -> bool:
        """Hint that a job is ready; return whether Redis took it. Does not raise if Redis is away."""
        return self.push(self._only_name(), [queued])

    def dequeue(self, timeout_seconds: float) -> QueuedJob | None:
        """Pop the oldest hint; wait up to ``timeout_seconds`` (0: do not wait). None: there is none.

        Raises redis.RedisError if Redis is away.
        """
        self._known_keys = self._keys()
        deadline = time.monotonic() + timeout_seconds
        hint = None
        while hint is None:
            left = deadline - time.monotonic()
            element = self._pop(min(left, LONGEST_POP_SECONDS)) if left > 0 else self._pop_now()
            if element is None and left <= LONGEST_POP_SECONDS:
                break
            # A bare nudge is not a hint of a job: the time is not over.
            hint = decode_hint(element) if element else None
        self._write_counts(redis_client(COMMANDS).pipeline(transaction=False)).execute()
        return hint

    def stats(self) -> QueueStatistics:
        """Return the statistics of this queue. Raises redis.RedisError if Redis is away."""
        name = self._only_name()
        pipeline = redis_client(COMMANDS).pipeline(transaction=False)
        pipeline.llen(hint_list(self.queue_key, name))
        pipeline.lindex(hint_list(self.queue_key, name), -1)
        pipeline.hmget(self._counters_key, [f"pushed:{name}", f"popped:{name}"])
        length, oldest, (pushed, popped) = pipeline.execute()
        return QueueStatistics(
            length=length,
            oldest_age_seconds=_age_seconds(oldest),
            pushed=int(pushed or 0),
            popped=int(popped or 0),
        )

    def _pop_now(self) -> bytes | None:
        for key in self._known_keys:
            popped: Any = redis_client(COMMANDS).rpop(key)
            if popped is not None:
                self._popped[queue_name_of(key)] += 1
                return bytes(popped)
        return None

    def _only_name(self) -> str:
        if self.queue_names is None or len(self.queue_names) != 1:
            raise InvalidName(
                f"This JobQueue serves {self.queue_names or 'every queue'}. Accepted: one queue name, "
                'as in JobQueue("email").'
            )
        return self.queue_names[0]


def _age_seconds(element: bytes | None) -> float | None:
    queued = decode_hint(element) if element else None
    return None if queued is None else max((datetime.now(UTC) - queued.enqueued_at).total_seconds(), 0.0)
