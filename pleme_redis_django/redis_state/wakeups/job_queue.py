"""JobQueue: a Redis FIFO of hints (LPUSH/BRPOP) that makes jobs start sooner, and nothing else.

Everything runs without it: a lost, doubled or stale hint costs a scan. Redis >= 6.2 (RPOP with a
count). Elements are JSON objects that name a job and carry none of its parameters.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import redis

from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.jobs.interface.job import DEFAULT_QUEUE_NAME, QueuedJob
from pleme_redis_django.jobs.interface.worker_pool_config import EVERY_QUEUE
from pleme_redis_django.redis_state.server.connections import (
    COMMANDS,
    HINTS,
    POPS,
    SHORTEST_BLOCK_SECONDS,
    redis_client,
)
from pleme_redis_django.redis_state.server.keyspace import (
    hint_counters,
    hint_list,
    hint_queue_names,
    hint_wake_all,
)
from pleme_redis_django.redis_state.server.redis_call import RedisCall, script_call
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker

MAX_HINTS_PER_QUEUE = 10_000
POP_LIMIT = 1_000
# A queue without a push for so long is forgotten. Its next hint wakes a worker like that of a new queue.
REMEMBER_QUEUE_SECONDS = 3_600
# A process has Redis remember a queue at most this often, since most of a push's work is that. A Redis that has
# lost its data is told at once.
REMEMBER_AGAIN_SECONDS = 10.0
# One blocking pop lasts no longer, so that names of new queues are learned and a stop is noticed.
LONGEST_POP_SECONDS = 30.0

_NUDGE = b"{}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatistics:
    """What one queue of hints holds now, and what passed through it since it last had none for an hour."""

    length: int
    oldest_age_seconds: float | None
    """Age of the hint that will be popped next; None when there is none."""
    pushed: int
    popped: int


class JobQueue:
    """The hints of one queue, of several, or of every queue (``"*"``) of a namespace."""

    def __init__(
        self,
        queue_name: str | Sequence[str] = DEFAULT_QUEUE_NAME,
        queue_key: str = "jobs",
    ) -> None:
        names = (queue_name,) if isinstance(queue_name, str) else tuple(queue_name)
        self.queue_key = queue_key
        self.queue_names: tuple[str, ...] | None = None if EVERY_QUEUE in names else names
        self._names_key = hint_queue_names(queue_key)
        self._wake_key = hint_wake_all(queue_key)
        self._counters_key = hint_counters(queue_key)
        # Refuses a bad name here, not at the first push.
        self._lists = {name: hint_list(queue_key, name) for name in self.queue_names or ()}
        self._known_keys: list[str] = []
        self._popped: Counter[str] = Counter()
        self._remembered_until: dict[str, float] = {}

    def enqueue(self, queued: QueuedJob) -> bool:
        """Hint that a job is ready; return whether Redis took it. Never raises for Redis' sake."""
        return self.push(self._only_name(), [queued])

    def dequeue(self, timeout_seconds: float) -> QueuedJob | None:
        """Pop the oldest hint, waiting up to ``timeout_seconds`` (0: not at all); None: there is none.

        Raises redis.RedisError when Redis is away.
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
        """Return the statistics of this queue. Raises redis.RedisError when Redis is away."""
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

    def push(self, queue_name: str, hints: Sequence[QueuedJob]) -> bool:
        """Push hints of one queue in one round trip; False when Redis did not take them."""
        return self._push(queue_name, [encode_hint(queued) for queued in hints[-MAX_HINTS_PER_QUEUE:]])

    # What a worker pool asks for

    def wait_for_hint(self, timeout_seconds: float) -> bool:
        """Wait for a hint, take every one that is there, and return whether there was any.

        What came while the last one was acted upon is taken first, so that nothing but the
        blocking pop lies between a push and the wake-up. Raises redis.RedisError.
        """
        if not self._known_keys or self.queue_names is None:
            self._known_keys = self._keys()
        return self._take_all() or self._pop(min(timeout_seconds, LONGEST_POP_SECONDS)) is not None

    def nudge(self) -> bool:
        """Wake one worker that serves these queues; False when Redis did not take it."""
        if self.queue_names is None:
            call: RedisCall[int] = RedisCall(("LPUSH", self._wake_key, _NUDGE), profile=HINTS)
            return hint_breaker.ask(call) is not None
        return self._push(self.queue_names[0], [_NUDGE])

    def _keys(self) -> list[str]:
        names: Sequence[str] = self.queue_names or ()
        if self.queue_names is None:
            found: Any = redis_client(COMMANDS).zrange(self._names_key, 0, -1)
            names = sorted(name.decode() for name in found)
        return [*(hint_list(self.queue_key, name) for name in names), self._wake_key]

    def _pop(self, timeout_seconds: float) -> bytes | None:
        found: Any = redis_client(POPS).brpop(
            self._known_keys, timeout=max(timeout_seconds, SHORTEST_BLOCK_SECONDS)
        )
        if found is None:
            return None
        self._popped[_queue_name(found[0].decode())] += 1
        return bytes(found[1])

    def _pop_now(self) -> bytes | None:
        for key in self._known_keys:
            popped: Any = redis_client(COMMANDS).rpop(key)
            if popped is not None:
                self._popped[_queue_name(key)] += 1
                return bytes(popped)
        return None

    def _take_all(self) -> bool:
        pipeline = redis_client(COMMANDS).pipeline(transaction=False)
        for key in self._known_keys:
            pipeline.rpop(key, POP_LIMIT)
        replies = self._write_counts(pipeline).execute()
        taken = Counter(
            {
                _queue_name(key): len(popped)
                for key, popped in zip(self._known_keys, replies, strict=False)
                if popped
            }
        )
        self._popped += taken
        return bool(taken)

    def _write_counts(self, pipeline: redis.client.Pipeline) -> redis.client.Pipeline:
        """Add the counts of what was popped so far to a pipeline that is sent anyway."""
        popped, self._popped = self._popped, Counter()
        for name, amount in popped.items():
            pipeline.hincrby(self._counters_key, f"popped:{name}", amount)
        return pipeline

    def _push(self, queue_name: str, elements: Sequence[bytes]) -> bool:
        now = time.monotonic()
        remembers = now >= self._remembered_until.get(queue_name, 0.0)
        keys = [
            self._lists.get(queue_name) or hint_list(self.queue_key, queue_name),
            self._names_key,
            self._wake_key,
            self._counters_key,
        ]
        arguments: list[str | bytes | int | float] = [
            queue_name,
            MAX_HINTS_PER_QUEUE,
            REMEMBER_QUEUE_SECONDS,
            1 if remembers else 0,
            *elements,
        ]
        call: RedisCall[int] = script_call("hints_push", keys, arguments, profile=HINTS)
        is_pushed = hint_breaker.ask(call) is not None
        if remembers and is_pushed:
            self._remembered_until[queue_name] = now + REMEMBER_AGAIN_SECONDS
        return is_pushed

    def _only_name(self) -> str:
        if self.queue_names is None or len(self.queue_names) != 1:
            raise InvalidName(
                f"This JobQueue serves {self.queue_names or 'every queue'}. Accepted: one queue name, "
                'as in JobQueue("email").'
            )
        return self.queue_names[0]


def encode_hint(queued: QueuedJob) -> bytes:
    """Return the list element of a hint."""
    fields = {
        "job_id": str(queued.job_id),
        "product": queued.product,
        "job_type": queued.job_type,
        "retry_count": queued.retry_count,
        "max_retries": queued.max_retries,
        "enqueued_at": queued.enqueued_at.timestamp(),
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def decode_hint(element: bytes) -> QueuedJob | None:
    """Return the hint of a list element; None for a bare nudge and for what is not a hint."""
    try:
        fields = json.loads(element)
        return QueuedJob(
            job_id=UUID(fields["job_id"]),
            product=str(fields["product"]),
            job_type=str(fields["job_type"]),
            retry_count=int(fields["retry_count"]),
            max_retries=int(fields["max_retries"]),
            enqueued_at=datetime.fromtimestamp(fields["enqueued_at"], UTC),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _age_seconds(element: bytes | None) -> float | None:
    queued = decode_hint(element) if element else None
    return None if queued is None else max((datetime.now(UTC) - queued.enqueued_at).total_seconds(), 0.0)


def _queue_name(key: str) -> str:
    return key.rpartition(":")[2]
