"""RedisHints: lists of hints in Redis. An enqueue pushes them (LPUSH), a worker pool waits for them (BRPOP).

Jobs run without them too: a lost, doubled or old hint only costs a scan. Redis >= 6.2 (RPOP with a
count). Elements are JSON objects that name a job and carry none of its parameters.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import redis

from pleme_redis_django.jobs.interface.job import QueuedJob
from pleme_redis_django.jobs.interface.queue_names import DEFAULT_QUEUE_NAME
from pleme_redis_django.jobs.interface.worker_pool_config import EVERY_QUEUE
from pleme_redis_django.redis_state.server.connections import COMMANDS, HINTS, POPS, SHORTEST_BLOCK_SECONDS
from pleme_redis_django.redis_state.server.keyspace import (
    hint_counters,
    hint_list,
    hint_queue_names,
    hint_wake_all,
)
from pleme_redis_django.redis_state.server.one_way import OneWay
from pleme_redis_django.redis_state.server.redis_call import RedisCall, redis_client, script_call
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker

MAX_HINTS_PER_QUEUE = 10_000
POP_LIMIT = 1_000
# A queue without a push for this long is forgotten. Its next hint wakes a worker like that of a new queue.
REMEMBER_QUEUE_SECONDS = 3_600
# A process names a queue to Redis at most this often, because that is most of the work of a push. A Redis that
# has lost its data gets the name at once.
REMEMBER_AGAIN_SECONDS = 10.0
# A blocking pop takes at most this long, so that new queues and a stop are noticed.
LONGEST_POP_SECONDS = 30.0

_NUDGE = b"{}"
# json.dumps() makes an encoder for each call that says its separators.
_encode = json.JSONEncoder(separators=(",", ":")).encode


class RedisHints:
    """The hints of one queue, of several, or of every queue (``"*"``) of a namespace."""

    def __init__(self, queue_name: str | Sequence[str] = DEFAULT_QUEUE_NAME, queue_key: str = "jobs") -> None:
        names = (queue_name,) if isinstance(queue_name, str) else tuple(queue_name)
        self.queue_key = queue_key
        self.queue_names: tuple[str, ...] | None = None if EVERY_QUEUE in names else names
        self._names_key = hint_queue_names(queue_key)
        self._wake_key = hint_wake_all(queue_key)
        self._counters_key = hint_counters(queue_key)
        # So that a bad name is refused here, not at the first push.
        self._lists = {name: hint_list(queue_key, name) for name in self.queue_names or ()}
        self._known_keys: list[str] = []
        self._popped: Counter[str] = Counter()
        self._remembered_until: dict[str, float] = {}

    def push(self, queue_name: str, hints: Sequence[QueuedJob]) -> bool:
        """Push hints of one queue in one round trip; False if Redis did not take them."""
        return self._push(queue_name, [encode_hint(queued) for queued in hints[-MAX_HINTS_PER_QUEUE:]])

    def send(self, queue_name: str, hints: Sequence[QueuedJob]) -> None:
        """Push hints of one queue without waiting to hear whether Redis took them."""
        elements = [encode_hint(queued) for queued in hints[-MAX_HINTS_PER_QUEUE:]]
        self._push(queue_name, elements, waits=False)

    def wait_for_hint(self, timeout_seconds: float) -> bool:
        """Wait for a hint, take all that are there, and return whether there was one.

        Hints that came since the last call are taken first, so that only the blocking pop is between a push and
        the wake-up. Raises redis.RedisError.
        """
        if not self._known_keys or self.queue_names is None:
            self._known_keys = self._keys()
        return self._take_all() or self._pop(min(timeout_seconds, LONGEST_POP_SECONDS)) is not None

    def nudge(self) -> bool:
        """Wake one worker that serves these queues; False if Redis did not take it."""
        return self._nudge(_NUDGE)

    def _nudge(self, element: bytes) -> bool:
        if self.queue_names is None:
            call: RedisCall[int] = RedisCall(("LPUSH", self._wake_key, element), profile=HINTS)
            return hint_breaker.ask(call) is not None
        return self._push(self.queue_names[0], [element])

    def wake_queues(self, queue_names: Collection[str]) -> None:
        """Wake one worker of each queue, whether it is one of these or not."""
        for name in queue_names:
            self._push(name, [_NUDGE], waits=False)

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
        self._popped[queue_name_of(found[0].decode())] += 1
        self._note_taken(found[1:])
        return bytes(found[1])

    def _take_all(self) -> bool:
        pipeline = redis_client(COMMANDS).pipeline(transaction=False)
        for key in self._known_keys:
            pipeline.rpop(key, POP_LIMIT)
        replies = self._write_counts(pipeline).execute()
        taken = Counter(
            {
                queue_name_of(key): len(popped)
                for key, popped in zip(self._known_keys, replies, strict=False)
                if popped
            }
        )
        self._popped += taken
        for popped in replies[: len(self._known_keys)]:
            self._note_taken(popped or ())
        return bool(taken)

    def _note_taken(self, elements: Sequence[bytes]) -> None:
        """Take note of the hints that were taken; here nobody asks of which products they are."""

    def _write_counts(self, pipeline: redis.client.Pipeline) -> redis.client.Pipeline:
        """Add the counts of popped hints to a pipeline that is sent anyway."""
        popped, self._popped = self._popped, Counter()
        for name, amount in popped.items():
            pipeline.hincrby(self._counters_key, f"popped:{name}", amount)
        return pipeline

    def _push(self, queue_name: str, elements: Sequence[bytes], *, waits: bool = True) -> bool:
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
        # What has the queue remembered waits: only its answer says that it is.
        is_pushed = hint_breaker.ask(call if waits or remembers else OneWay(call, len(elements))) is not None
        if remembers and is_pushed:
            self._remembered_until[queue_name] = now + REMEMBER_AGAIN_SECONDS
        return is_pushed


def encode_hint(queued: QueuedJob) -> bytes:
    """Return the list element of a hint.

    Only ``JobQueue.dequeue()`` reads it: a worker that is woken asks the database what is ready.
    """
    fields = {
        "job_id": str(queued.job_id),
        "product": queued.product,
        "job_type": queued.job_type,
        "retry_count": queued.retry_count,
        "max_retries": queued.max_retries,
        "enqueued_at": queued.enqueued_at.timestamp(),
    }
    return _encode(fields).encode()


def decode_hint(element: bytes) -> QueuedJob | None:
    """Return the hint of a list element; None for a nudge without a job, and for anything else."""
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


def queue_name_of(key: str) -> str:
    return key.rpartition(":")[2]
