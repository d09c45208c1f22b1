"""How long a failed job waits for its next attempt: whose word counts, and what is no delay.

A function and a job model are the project's, and may return anything or raise: then the pool's backoff counts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from pleme_redis_django.exceptions import MAX_DELAY_SECONDS, RetryAfter
from pleme_redis_django.jobs.definitions.stored_rules import RetryDelay
from pleme_redis_django.jobs.interface.failures import note
from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.jobs.interface.retry import backoff_delay, follows_pool, jittered
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.ranges import Number

DELAYS = Number(0, MAX_DELAY_SECONDS)


def delay_before_retry(
    job: AnyJob,
    config: WorkerPoolConfig,
    error: BaseException,
    rule: RetryDelay | None,
    pool_rule: RetryDelay | None = None,
) -> float:
    """Return the seconds until the retry: as the error says, else the rule, else ``retry_delay`` with jitter.

    ``pool_rule`` counts where the job says nothing at all.
    """
    if isinstance(error, RetryAfter):
        return error.seconds
    if rule is None and pool_rule is not None and _own(job, "base_retry_delay") is None and follows_pool(job):
        rule = pool_rule
    if rule is not None:
        seconds = _asked(error, "retry_delay", functools.partial(rule, job.retry_count + 1, error))
        if seconds is not None:
            return seconds
    return jittered(retry_delay(job, config, error))


def retry_delay(job: AnyJob, config: WorkerPoolConfig, error: BaseException | None = None) -> float:
    """Return the exact seconds until the next attempt: the job's own base delay, its model's, or the pool's.

    The row is the project's, and may hold anything: what is not a delay is passed over.
    """
    base, most = _own(job, "base_retry_delay"), _own(job, "max_retry_delay")
    if most is None:
        most = config.max_retry_delay
    if base is None:
        if not follows_pool(job):
            seconds = _asked(error, "calculate_backoff_delay()", job.calculate_backoff_delay)
            if seconds is not None:
                return seconds
        base = config.base_retry_delay
    # Cut first: an integer of 400 digits does not fit into a float.
    base = min(base, most)
    return backoff_delay(job.retry_count, base_seconds=base, max_seconds=most)


def _own(job: AnyJob, name: str) -> Any:
    configuration = job.configuration
    seconds: Any = configuration.get(name) if isinstance(configuration, Mapping) else None
    return seconds if type(seconds) in (int, float) and 0 <= seconds < float("inf") else None


def _asked(error: BaseException | None, name: str, ask: Callable[[], Any]) -> float | None:
    """Return what the project's code answers; None, and a note in the attempt's traceback, when that is no delay."""
    try:
        seconds = ask()
    except Exception as raised:
        note(error, f"{name} raised {type(raised).__name__}; the backoff of the pool was used.")
        return None
    if DELAYS.accepts(seconds):
        return float(seconds)
    shown = hex(seconds) if type(seconds) is int else repr(seconds)
    note(error, f"{name} returned {shown[:80]}. Accepted: {DELAYS}; the backoff of the pool was used.")
    return None
