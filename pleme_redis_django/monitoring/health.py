"""The health of the jobs in one sentence with its reasons: each queue against its maximum wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pleme_redis_django.durations import duration
from pleme_redis_django.metrics.measured import MeasuredAt
from pleme_redis_django.monitoring.figures import Health, Level, QueueFigures, Reason, WorkerFigures
from pleme_redis_django.monitoring.queue_health import (
    failing_queues,
    growing_queues,
    late_queues,
    paused_queue_notes,
    stuck_jobs,
)

# Dead workers are known for a day; after this time one is no news.
RECENT_DEATH_SECONDS = 600.0
# A live process takes over the jobs of a dead one within this time of its last sign of life.
TAKEN_OVER_SECONDS = 60.0
REASONS_SHOWN = 20
START_ONE = "start one: manage.py runworkers"

_ORDER: dict[Level, int] = {"critical": 0, "warning": 1, "note": 2}


def judge(
    queues: Sequence[QueueFigures],
    workers: Sequence[WorkerFigures],
    *,
    max_wait: Mapping[str, float],
    measured: MeasuredAt,
    others: Sequence[Reason] = (),
) -> Health:
    """Return the level of the worst reason, and a sentence that names the worst ones.

    ``others``: what schedules and the storage have to say.
    """
    reasons = [*others, *_of_missing_workers(queues, workers, measured), *_of_workers(workers)]
    if measured.at is None:
        if not reasons:
            return Health(
                level="unknown", sentence="No figures yet: no worker process has measured anything."
            )
    else:
        reasons += [
            *_of_age(measured, workers),
            *late_queues(queues, workers, max_wait),
            *paused_queue_notes(queues, measured.now),
        ]
        if not measured.is_stale:
            reasons += [*growing_queues(queues, max_wait), *failing_queues(queues)]
        # Without workers no job is held, whatever its row says: the first worker that starts takes it over.
        if any(worker.state != "dead" for worker in workers):
            reasons += stuck_jobs(queues)
    reasons.sort(key=lambda reason: _ORDER[reason.level])
    problems = [reason for reason in reasons if reason.level != "note"]
    sentence = _problems(problems) if problems else _all_well(queues, workers, reasons)
    return Health(
        level=problems[0].level if problems else "ok",
        sentence=sentence,
        reasons=tuple(reasons[:REASONS_SHOWN]),
        reason_count=len(reasons),
    )


def _problems(problems: Sequence[Reason]) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
    told = "; ".join(reason.text for reason in problems[:2])
    more = f"; and {len(problems) - 2:,} more" if len(problems) > 2 else ""
    return f"{count}: {told}{more}."


def _all_well(
    queues: Sequence[QueueFigures], workers: Sequence[WorkerFigures], notes: Sequence[Reason]
) -> str:
    alive = sum(worker.claims for worker in workers)
    processes = "1 worker process is" if alive == 1 else f"{alive:,} worker processes are"
    waiting = (
        "every queue is within its maximum wait" if any(queue.ready for queue in queues) else "nothing waits"
    )
    more = f" {notes[0].text[0].upper()}{notes[0].text[1:]}." if notes else ""
    more += f" And {len(notes) - 1:,} more." if len(notes) > 1 else ""
    return f"All is well: {waiting}, {processes} alive.{more}"


def _of_missing_workers(
    queues: Sequence[QueueFigures], workers: Sequence[WorkerFigures], measured: MeasuredAt
) -> list[Reason]:
    """Nothing will run without a worker, whatever was measured while there was one."""
    if any(worker.claims for worker in workers):
        return []
    drain = any(worker.state == "draining" for worker in workers)
    text = "every worker process drains" if drain else "no worker process is running"
    if measured.at is None:
        text += f" and nothing was measured yet; {START_ONE}"
    else:
        ready = sum(queue.ready for queue in queues)
        jobs = "1 job was" if ready == 1 else f"{ready:,} jobs were"
        # Jobs that were enqueued since then have not been counted.
        text += f"; {duration(measured.age_seconds)} ago {jobs} ready; {START_ONE}"
    return [Reason(level="critical", text=text, page="workers")]


def _of_age(measured: MeasuredAt, workers: Sequence[WorkerFigures]) -> list[Reason]:
    # Where no worker is alive, that is the reason, and it says the age.
    if not measured.is_stale or not any(worker.claims for worker in workers):
        return []
    text = f"the figures are {duration(measured.age_seconds)} old, because no worker process measures"
    return [Reason(level="critical", text=text, page="workers")]


def _of_workers(workers: Sequence[WorkerFigures]) -> list[Reason]:
    lively = {worker.pool for worker in workers if worker.claims}
    return [
        _death(worker, is_replaced=worker.pool in lively)
        for worker in workers
        if worker.state == "dead" and worker.silent_seconds <= RECENT_DEATH_SECONDS
    ]


def _death(worker: WorkerFigures, *, is_replaced: bool) -> Reason:
    """A death is no problem if other processes are alive: they take over its jobs."""
    text = f"worker {worker.host}:{worker.pid} died {duration(worker.silent_seconds)} ago"
    if not is_replaced:
        text += f", and no other process of the pool {worker.pool} is alive"
    elif worker.running:
        jobs = "its job" if worker.running == 1 else f"its {worker.running:,} jobs"
        is_done = worker.silent_seconds > TAKEN_OVER_SECONDS
        verb = (
            ("was" if is_done else "is being")
            if worker.running == 1
            else ("were" if is_done else "are being")
        )
        text += f"; {jobs} {verb} taken over"
    return Reason(level="note" if is_replaced else "warning", text=text, page="workers")
