"""What the tests of wake-ups share: a breaker that forgets each test's outage, and hints."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from pleme_redis_django import QueuedJob
from pleme_redis_django.redis_state.server.connections import COMMANDS
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker


@pytest.fixture(autouse=True)
def _closed_breaker() -> Iterator[None]:
    hint_breaker.reset()
    yield
    hint_breaker.reset()


def hint(**fields: Any) -> QueuedJob:
    values: dict[str, Any] = {
        "job_id": uuid4(),
        "product": "novaskyn",
        "job_type": "shop.jobs.send",
        "retry_count": 1,
        "max_retries": 3,
        "enqueued_at": datetime.now(UTC),
    }
    return QueuedJob(**(values | fields))


def blocked_clients() -> int:
    info: Any = redis_client(COMMANDS).info("clients")
    return int(info["blocked_clients"])
