"""The health of the jobs in one sentence with its reasons: each queue against its own promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pleme_redis_django.dashboard.figures import Health, Level, QueueFigures, Reason, WorkerFigures
from pleme_redis_django.durations import duration

# Past this multiple of its promise a queue is no longer late, but in trouble.
CRITICAL_MULTIPLE = 4
# So old figures say nothing about now.
STALE_AFTER = timedelta(seconds=60)
# Dead workers are known for a day; after this time one is no news.
RECENT_DEATH_SECONDS = 600.0
DEFAULT_MAX_WAIT_SECONDS = 300.0

QUEUES_URL, WORKERS_URL = "pleme_redis_django_queues", "pleme_redis_django_workers"


def judge(
    queues: Sequence[QueueFigures],
    workers: Sequence[WorkerFigures],
    *,
    max_wait: Mapping[str, float],
    sampled_at: datetime | None,
    now: datetime,
) -> Health:
    """Return the level of the worst reason, and a sentence that names the worst ones."""
    if sampled_at is None:
        return Health(level="unknown", sentence="No figures yet: no worker process has measured anything.")
    reasons = [
        *_of_age(sampled_at, now),
        *_of_missing_workers(queues, workers),
        *_of_queues(queues, max_wait),
        *_of_workers(workers),
    ]
    reasons.sort(key=lambda reason: reason.level != "critical")
    if not reasons:
        return Health(level="ok", sentence=_all_well(queues, workers))
    level: Level = reasons[0].level
    count = "1 problem" if len(reasons) == 1 else f"{len(reasons)} problems"
    told = "; ".join(reason.text for reason in reasons[:2])
    more = f"; and {len(reasons) - 2} more" if len(reasons) > 2 else ""
    return Health(level=level, sentence=f"{count}: {told}{more}.", reasons=tuple(reasons))


def promised_wait(queue: str, max_wait: Mapping[str, float]) -> float:
    """Return how long a ready job of the queue may wait, in seconds."""
    return max_wait.get(queue, max_wait.get("*", DEFAULT_MAX_WAIT_SECONDS))


def is_late(queue: QueueFigures, max_wait: Mapping[str, float]) -> bool:
    """Whether the queue breaks its promise; a paused one makes none."""
    waited = queue.oldest_ready_seconds
    return queue.paused is None and waited is not None and waited > promised_wait(queue.queue, max_wait)


def _of_age(sampled_at: datetime, now: datetime) -> list[Reason]:
    if now - sampled_at <= STALE_AFTER:
        return []
    age = duration((now - sampled_at).total_seconds())
    text = f"the figures are {age} old, because no worker process measures"
    return [Reason(level="critical", text=text, url_name=WORKERS_URL)]


def _of_missing_workers(queues: Sequence[QueueFigures], workers: Sequence[WorkerFigures]) -> list[Reason]:
    ready = sum(queue.ready for queue in queues)
    if not ready or any(worker.state == "alive" for worker in workers):
        return []
    jobs = "1 job is" if ready == 1 else f"{ready:,} jobs are"
    text = f"{jobs} ready and no worker process is alive"
    return [Reason(level="critical", text=text, url_name=WORKERS_URL)]


def _of_queues(queues: Sequence[QueueFigures], max_wait: Mapping[str, float]) -> list[Reason]:
    late = [queue for queue in queues if is_late(queue, max_wait)]
    late.sort(key=lambda queue: -_lateness(queue, max_wait))
    return [
        Reason(
            level="critical" if _lateness(queue, max_wait) >= CRITICAL_MULTIPLE else "warning",
            text=f"queue {queue.queue} of {queue.product} waits {duration(queue.oldest_ready_seconds or 0)}, "
            f"promise {duration(promised_wait(queue.queue, max_wait))}",
            url_name=QUEUES_URL,
        )
        for queue in late
    ]


def _lateness(queue: QueueFigures, max_wait: Mapping[str, float]) -> float:
    return (queue.oldest_ready_seconds or 0.0) / promised_wait(queue.queue, max_wait)


def _of_workers(workers: Sequence[WorkerFigures]) -> list[Reason]:
    return [
        Reason(
            level="warning",
            text=f"worker {worker.host}:{worker.pid} is silent for {duration(worker.silent_seconds)}",
            url_name=WORKERS_URL,
        )
        for worker in workers
        if worker.state == "dead" and worker.silent_seconds <= RECENT_DEATH_SECONDS
    ]


def _all_well(queues: Sequence[QueueFigures], workers: Sequence[WorkerFigures]) -> str:
    alive = sum(worker.state == "alive" for worker in workers)
    processes = "1 worker process is" if alive == 1 else f"{alive} worker processes are"
    if any(queue.ready for queue in queues):
        return f"All is well: every queue keeps its promise, {processes} alive."
    return f"All is well: nothing waits, {processes} alive."
