"""Awaited jobs: whoever waits for the end of a job says so in Redis, and the worker that ended it tells them.

A notice may be lost: who waits looks at the row now and then. Redis >= 6.2 (BLMOVE, ZMSCORE).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pleme_redis_django.jobs.interface.endings import Cancelled, Completed, Ending, Failed
from pleme_redis_django.redis_state.server.connections import HINTS, WAITS
from pleme_redis_django.redis_state.server.keyspace import awaited_jobs, job_end
from pleme_redis_django.redis_state.server.redis_call import RedisCall, RedisPipeline
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker

# Who waits says it again at each look, so that one that died is soon forgotten.
REGISTERED_SECONDS = 10
END_TTL_SECONDS = 60
# A process asks at most so often whether somebody waits, however many jobs end.
REST_SECONDS = 0.02
# Older batches are forgotten when Redis is slower than the endings: who waits for one of those looks at its row.
MAX_BATCHES = 256
IDS_PER_COMMAND = 1_000

_LAST_WORDS = (Completed, Failed, Cancelled)

logger = logging.getLogger("pleme_redis_django.hints")


def register_wait(job_id: UUID) -> RedisCall[Any]:
    """Return the request that says: somebody waits for this job. To be sent before the row is looked at."""
    now = time.time()
    key = awaited_jobs()
    commands = (
        ("ZADD", key, now + REGISTERED_SECONDS, str(job_id)),
        ("ZREMRANGEBYSCORE", key, "-inf", now),
        ("EXPIRE", key, REGISTERED_SECONDS),
        # Of an end before an operator's retry; who misses a notice by this looks at the row a second later.
        ("DEL", job_end(str(job_id))),
    )
    return RedisPipeline(commands, profile=HINTS)


def wait_for_end(job_id: UUID, timeout_seconds: float) -> RedisCall[Any]:
    """Return the request that waits for the notice, 2 s at most. It stays there for the others who wait."""
    key = job_end(str(job_id))
    return RedisCall(("BLMOVE", key, key, "RIGHT", "LEFT", timeout_seconds), profile=WAITS)


class EndNotices:
    """Tells those who wait that a job has ended, on a thread of its own: no ending ever waits for Redis."""

    def __init__(self) -> None:
        self._batches: deque[Sequence[Ending]] = deque(maxlen=MAX_BATCHES)
        self._some = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, endings: Sequence[Ending]) -> None:
        """Take endings that were written; from any thread, and without waiting for anything."""
        self._batches.append(endings)
        if not self._some.is_set():
            self._some.set()
            if self._thread is None or not self._thread.is_alive():
                self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="pleme-end-notices", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            try:
                self.tell()
            except Exception:
                logger.exception("Those who wait for jobs were not told of their end; they look at the rows.")
            time.sleep(REST_SECONDS)

    def tell(self) -> None:
        """Tell of what was added, if anybody waits for any job."""
        batches = [self._batches.popleft() for _ in range(len(self._batches))]
        if not hint_breaker.ask(RedisCall(("EXISTS", awaited_jobs()), profile=HINTS)):
            return
        ids = [str(ending.job_id) for batch in batches for ending in batch if isinstance(ending, _LAST_WORDS)]
        for start in range(0, len(ids), IDS_PER_COMMAND):
            _tell(ids[start : start + IDS_PER_COMMAND])


def _tell(ids: Sequence[str]) -> None:
    until = hint_breaker.ask(RedisCall[list[Any]](("ZMSCORE", awaited_jobs(), *ids), profile=HINTS))
    commands: list[tuple[Any, ...]] = []
    for job_id, waits in zip(ids, until or (), strict=False):
        if waits is not None:
            key = job_end(job_id)
            commands += [("LPUSH", key, 1), ("LTRIM", key, 0, 0), ("EXPIRE", key, END_TTL_SECONDS)]
    if commands:
        hint_breaker.ask(RedisPipeline(tuple(commands), profile=HINTS))


end_notices = EndNotices()
"""Of this process."""
