"""Stamps in the process that enqueues."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock
from uuid import UUID

from django.db import connection

from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints


@dataclasses.dataclass(slots=True, kw_only=True)
class EnqueueTimes:
    """When each step of one enqueue was done (``time.time()``)."""

    called_at: float
    insert_sent_at: float = 0.0
    stored_at: float = 0.0
    push_sent_at: float = 0.0


class EnqueueStamps:
    """Enqueues jobs, and keeps when each step was done."""

    def __init__(self) -> None:
        self.times: dict[UUID, EnqueueTimes] = {}
        self._current = EnqueueTimes(called_at=0.0)

    def enqueue(self, enqueue: Callable[..., Any]) -> None:
        """Enqueue one job, which is told when that was."""
        times = self._current = EnqueueTimes(called_at=time.time())
        self.times[enqueue(sent_at=times.called_at).id] = times

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take the stamps for the block."""
        send = RedisHints.send

        def stamped_send(hints: RedisHints, *arguments: Any) -> None:
            self._current.push_sent_at = time.time()
            send(hints, *arguments)

        with ExitStack() as stack:
            stack.enter_context(connection.execute_wrapper(self._execute))
            stack.enter_context(mock.patch.object(RedisHints, "send", stamped_send))
            yield

    def _execute(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self._current.insert_sent_at = time.time()
        try:
            return execute(*arguments)
        finally:
            self._current.stored_at = time.time()
