"""WorkerPoolConfig: every number of a worker pool, its range, and the three presets."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, Self

from pleme_redis_django.exceptions import InvalidName, InvalidSettings
from pleme_redis_django.jobs.interface.job import validate_queue_name
from pleme_redis_django.jobs.interface.workers import DEFAULT_LEASE_SECONDS

EVERY_QUEUE = "*"
DEFAULT_QUEUE_KEY = "jobs"
_DAY_SECONDS = 86_400


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPoolConfig:
    """How one pool works. A pool is one process; durations are seconds.

    Raises InvalidSettings, naming the field and its range, for a value that is out of it.
    """

    worker_count: int = 5
    """Sync handlers that run at once, each in a thread (0 to 1,000)."""
    queue_key: str = DEFAULT_QUEUE_KEY
    """Namespace of the Redis hints; pools of different job models need different ones."""
    poll_timeout: float = 30
    """Longest wait for a hint before the database is scanned: what a lost hint costs (0.05 to 3,600)."""
    max_retries: int = 3
    """Retries of a job for which neither the enqueue nor its ``@job`` says how many (0 to 1,000)."""
    base_retry_delay: float = 60
    """Delay before the first retry; each later one doubles it (0 to 86,400)."""
    max_retry_delay: float = 3600
    """Longest delay before a retry (0 to 30 days)."""
    stale_job_threshold_seconds: float = 7200
    """A running job without a sign of life for so long is stale (1 second to 30 days)."""
    stale_check_interval_seconds: float = 300
    """How often one worker of the cluster looks for stale and forgotten jobs (0.1 to 86,400)."""

    queues: tuple[str, ...] = (EVERY_QUEUE,)
    """Queue names that the pool serves; ``*`` is every queue."""
    product: str | None = None
    """The only product that the pool serves; None: every product."""
    async_count: int = 50
    """Async handlers that run at once, all in one event loop (0 to 10,000)."""
    heartbeat_seconds: float = 5
    """How often a process proves that it lives (0.05 to 3,600)."""
    lease_seconds: float = DEFAULT_LEASE_SECONDS
    """A process silent for so long is dead, and its jobs run elsewhere (over 2 heartbeats)."""
    lease_sweep_seconds: float = 5
    """How often dead processes are looked for (0.05 to 3,600)."""
    grace_seconds: float = 30
    """How long running jobs may go on after SIGTERM before they are handed back (0 to 86,400)."""
    max_crashes: int = 3
    """A job at whose run worker processes died so often, the last ones while it ran alone, ends FAILED (3 to 1,000)."""

    max_unseen_deaths: int = 10
    """A job that ran at so many worker processes in a row that vanished, the last ones while it ran alone, ends
    FAILED (5 to 1,000)."""

    def __post_init__(self) -> None:
        for field, (kind, low, high) in _RANGES.items():
            self._check_number(field, kind, low, high)
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            raise InvalidSettings(
                f"lease_seconds is {self.lease_seconds}, and heartbeat_seconds {self.heartbeat_seconds}. Accepted: "
                "a lease of at least two heartbeats, so that one late beat does not cost a live process its jobs."
            )
        object.__setattr__(self, "queues", _checked_queues(self.queues))
        _checked_name("queue_key", self.queue_key)
        if not self.worker_count and not self.async_count:
            raise InvalidSettings("worker_count and async_count are both 0, so that no job would ever run.")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Return the config of a dict of field names. Raises InvalidSettings for an unknown one."""
        known = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"Did you mean {near[0]}?" if near else f"Known fields: {', '.join(known)}."
                raise InvalidSettings(f'A worker pool has no field "{key}". {hint}')
        return cls(**values)

    @classmethod
    def high_throughput(cls, **overrides: Any) -> Self:
        """Return a preset for many short jobs on reliable infrastructure."""
        return cls.from_mapping({**PRESETS["high_throughput"], **overrides})

    @classmethod
    def unreliable_network(cls, **overrides: Any) -> Self:
        """Return a preset for jobs that call services which come and go."""
        return cls.from_mapping({**PRESETS["unreliable_network"], **overrides})

    @classmethod
    def development(cls, **overrides: Any) -> Self:
        """Return a preset that shows a stuck job within minutes."""
        return cls.from_mapping({**PRESETS["development"], **overrides})

    @property
    def queue_names(self) -> tuple[str, ...] | None:
        """The queues to serve, or None for every queue."""
        return None if EVERY_QUEUE in self.queues else self.queues

    def _check_number(self, field: str, kind: type, low: float, high: float) -> None:
        value = getattr(self, field)
        accepted = (int,) if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, accepted) or not low <= value <= high:
            noun = "a whole number" if kind is int else "a number"
            raise InvalidSettings(f"{field} is {value!r}. Accepted: {noun} from {low:,} to {high:,}.")


_RANGES: dict[str, tuple[type, float, float]] = {
    "worker_count": (int, 0, 1_000),
    "poll_timeout": (float, 0.05, 3_600),
    "max_retries": (int, 0, 1_000),
    "base_retry_delay": (float, 0, _DAY_SECONDS),
    "max_retry_delay": (float, 0, 30 * _DAY_SECONDS),
    "stale_job_threshold_seconds": (float, 1, 30 * _DAY_SECONDS),
    "stale_check_interval_seconds": (float, 0.1, _DAY_SECONDS),
    "async_count": (int, 0, 10_000),
    "heartbeat_seconds": (float, 0.05, 3_600),
    "lease_seconds": (float, 0.2, _DAY_SECONDS),
    "lease_sweep_seconds": (float, 0.05, 3_600),
    "grace_seconds": (float, 0, _DAY_SECONDS),
    "max_crashes": (int, 3, 1_000),
    "max_unseen_deaths": (int, 5, 1_000),
}

PRESETS: dict[str, dict[str, Any]] = {
    "high_throughput": {
        "worker_count": 10,
        "poll_timeout": 10,
        "stale_job_threshold_seconds": 3600,
        "stale_check_interval_seconds": 60,
    },
    "unreliable_network": {
        "worker_count": 3,
        "poll_timeout": 60,
        "max_retries": 5,
        "base_retry_delay": 120,
        "stale_job_threshold_seconds": 14400,
        "stale_check_interval_seconds": 300,
    },
    "development": {
        "worker_count": 2,
        "poll_timeout": 5,
        "stale_job_threshold_seconds": 300,
        "stale_check_interval_seconds": 60,
    },
}


def _checked_queues(queues: object) -> tuple[str, ...]:
    if isinstance(queues, str) or not isinstance(queues, list | tuple) or not queues:
        raise InvalidSettings(
            f'queues is {queues!r}. Accepted: a list of queue names, or ["*"] for every queue.'
        )
    for name in queues:
        if name != EVERY_QUEUE:
            _checked_name("queues", name)
    return tuple(queues)


def _checked_name(field: str, name: object) -> None:
    try:
        validate_queue_name(name)
    except InvalidName as error:
        raise InvalidSettings(f"{field}: {error}") from None
