"""What is wrong with queues: late, about to be, failing, stuck, or paused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from pleme_redis_django.durations import duration
from pleme_redis_django.jobs.interface.worker_pool_config import DEFAULT_STALE_SECONDS
from pleme_redis_django.monitoring.figures import Level, QueueFigures, Reason, WorkerFigures

# Past this multiple of its promise a queue is no longer late, but in trouble.
CRITICAL_MULTIPLE = 4
DEFAULT_MAX_WAIT_SECONDS = 300.0
# What is to come later than this may still turn out otherwise.
FORESEEN_SECONDS = 600.0
# Of fewer jobs a queue's growth is chance, and so are its failures.
NOTABLE_GROWTH_PER_MINUTE = 5.0
NOTABLE_FAILURES = 10
NOTABLE_FAILED_SHARE = 0.25
# A smaller share is notable too where it is this multiple of the usual one, unless hardly any job fails.
UNUSUAL_MULTIPLE = 5
LEAST_FAILED_SHARE = 0.01
# A job that runs for longer than this multiple of the 95th percentile, and than ten minutes, may hang.
HANGS_AFTER_MULTIPLE = 10
HANGS_AFTER_SECONDS = 600.0


def promised_wait(queue: str, max_wait: Mapping[str, float]) -> float:
    """Return how long a ready job of the queue may wait, in seconds."""
    return max_wait.get(queue, max_wait.get("*", DEFAULT_MAX_WAIT_SECONDS))


def is_late(queue: QueueFigures, max_wait: Mapping[str, float]) -> bool:
    """Whether the queue breaks its promise; a paused one makes none."""
    waited = queue.oldest_ready_seconds
    return queue.paused is None and waited is not None and waited > promised_wait(queue.queue, max_wait)


def late_queues(
    queues: Sequence[QueueFigures], workers: Sequence[WorkerFigures], max_wait: Mapping[str, float]
) -> Iterator[Reason]:
    """Yield the queues whose jobs wait too long, those with the same name together, the latest first."""
    by_name: dict[str, list[QueueFigures]] = defaultdict(list)
    for queue in sorted(queues, key=lambda queue: -_lateness(queue, max_wait)):
        if is_late(queue, max_wait):
            by_name[queue.queue].append(queue)
    for name, late in by_name.items():
        worst = late[0]
        is_one = len(late) == 1
        whose = f"of {worst.product} waits" if is_one else f"of {len(late):,} products waits up to"
        yield Reason(
            level="critical" if _lateness(worst, max_wait) >= CRITICAL_MULTIPLE else "warning",
            text=f"queue {name} {whose} {duration(worst.oldest_ready_seconds or 0)}, "
            f"promise {duration(promised_wait(name, max_wait))}{_cause(worst, workers)}",
            page="queues",
            queue=name if is_one else "",
            product=worst.product if is_one else "",
        )


def growing_queues(queues: Sequence[QueueFigures], max_wait: Mapping[str, float]) -> Iterator[Reason]:
    """Yield the queues that will break their promise soon, should they go on to grow as they do."""
    for queue in queues:
        left = _seconds_to_late(queue, max_wait)
        if left is not None and left <= FORESEEN_SECONDS:
            text = (
                f"queue {queue.queue} of {queue.product} grows by {queue.growth_per_minute:,.0f} a minute, "
            )
            text += f"and breaks its promise in about {duration(max(round(left / 10) * 10, 10))}"
            yield _about(queue, "warning", text)


def is_failing(queue: QueueFigures) -> bool:
    """Whether many jobs of the queue fail for good: a quarter of them, or many times as many as usually."""
    failed, ended = queue.failed_of_late, queue.ended_of_late
    if failed < NOTABLE_FAILURES:
        return False
    # One failure more than there were: a queue that ended three jobs, and all well, has no usual share yet.
    unusual = UNUSUAL_MULTIPLE * (queue.failed_usually + 1) / (queue.ended_usually + 1)
    return failed >= min(NOTABLE_FAILED_SHARE, max(unusual, LEAST_FAILED_SHARE)) * ended


def failing_queues(queues: Sequence[QueueFigures]) -> Iterator[Reason]:
    """Yield the queues in which many jobs fail for good, with the usual number."""
    for queue in filter(is_failing, queues):
        text = f"queue {queue.queue} of {queue.product}: {queue.failed_of_late:,} of the "
        text += f"{queue.ended_of_late:,} jobs that ended in the last ten minutes failed"
        if queue.ended_usually:
            share = 100 * queue.failed_usually / queue.ended_usually
            text += f"; usually {share:.1f} % do" if queue.failed_usually else "; usually none does"
        yield _about(queue, "warning", text)


def stuck_jobs(queues: Sequence[QueueFigures]) -> Iterator[Reason]:
    """Yield the queues of which a job is held for much longer than is usual."""
    for queue in queues:
        held = queue.oldest_running_seconds
        if held is None:
            continue
        text = f"a job of queue {queue.queue} of {queue.product} is held by its worker for {duration(held)}"
        usual = queue.run_p95
        if held > DEFAULT_STALE_SECONDS:
            yield _about(queue, "warning", text)
        elif usual and held > max(HANGS_AFTER_MULTIPLE * usual, HANGS_AFTER_SECONDS):
            yield _about(queue, "warning", f"{text}; 95 % of the others took at most {duration(usual)}")


def paused_queue_notes(queues: Sequence[QueueFigures], now: datetime) -> Iterator[Reason]:
    """Yield each pause once: one of every product is marked on many queues."""
    pauses = {(queue.paused.product, queue.queue): queue for queue in queues if queue.paused is not None}
    for (product, name), queue in pauses.items():
        pause = queue.paused
        assert pause is not None
        by = f" by {pause.by}" if pause.by else ""
        ago = duration(max((now - pause.at).total_seconds(), 0))
        because = f": {pause.reason}" if pause.reason else ""
        text = f"queue {name} of {product or 'every product'} was paused{by} {ago} ago{because}"
        yield _about(queue, "note", text)


def _about(queue: QueueFigures, level: Level, text: str) -> Reason:
    return Reason(level=level, text=text, page="queues", queue=queue.queue, product=queue.product)


def _lateness(queue: QueueFigures, max_wait: Mapping[str, float]) -> float:
    return (queue.oldest_ready_seconds or 0.0) / promised_wait(queue.queue, max_wait)


def _cause(queue: QueueFigures, workers: Sequence[WorkerFigures]) -> str:
    """Return why a queue is late, if the workers explain it."""
    claiming = [worker for worker in workers if worker.claims]
    if not claiming:
        return ""
    serving = [worker for worker in claiming if worker.serves(queue.product, queue.queue)]
    if not serving:
        return ", and no live worker process serves it"
    if all(worker.running >= worker.slots for worker in serving):
        return f", and all {sum(worker.slots for worker in serving):,} slots of its workers are taken"
    return ""


def _seconds_to_late(queue: QueueFigures, max_wait: Mapping[str, float]) -> float | None:
    """Return when the oldest ready job will have waited for too long; None: nothing points to it."""
    growth, waited = queue.growth_per_minute, queue.oldest_ready_seconds
    if queue.paused is not None or waited is None or growth is None or growth < NOTABLE_GROWTH_PER_MINUTE:
        return None
    left = promised_wait(queue.queue, max_wait) - waited
    # First come, first served: in a minute the oldest wait grows by the share that is not worked off.
    return None if left < 0 else left * (growth + queue.done_per_minute) / growth
