"""Figures of queues and workers, and what is judged of them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from pleme_redis_django.metrics.measured import MeasuredAt
from pleme_redis_django.monitoring.figures import Health, QueueFigures, WorkerFigures
from pleme_redis_django.monitoring.health import judge

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROMISES = {"emails": 30, "*": 300}


def queue(name: str = "emails", waits: float | None = None, **fields: Any) -> QueueFigures:
    values = {
        "product": "shop",
        "ready": 0 if waits is None else 12,
        "pending": 0,
        "running": 0,
        "done_per_minute": 0.0,
        "growth_per_minute": None,
        "failed_last_hour": 0,
        "wait_p95": None,
        "clears_in_seconds": None,
        "paused": None,
        "spark": (),
        **fields,
    }
    return QueueFigures(queue=name, oldest_ready_seconds=waits, **values)


def worker(state: Any = "alive", silent: float = 1.0, **fields: Any) -> WorkerFigures:
    values = {
        "id": uuid.uuid4(),
        "pool": "default",
        "host": "w3",
        "pid": 7,
        "release": "",
        "slots": 5,
        "running": 0,
        "queues": ("*",),
        "product": "",
        "started_at": NOW,
        **fields,
    }
    return WorkerFigures(state=state, silent_seconds=silent, **values)


def judged(
    *queues: QueueFigures,
    workers: tuple[WorkerFigures, ...] = (worker(),),
    age: float = 5,
    interval: float = 10,
) -> Health:
    measured_at = NOW - timedelta(seconds=age)
    measured = MeasuredAt(now=NOW, at=measured_at, next_at=measured_at + timedelta(seconds=interval))
    return judge(queues, workers, max_wait=PROMISES, measured=measured)
