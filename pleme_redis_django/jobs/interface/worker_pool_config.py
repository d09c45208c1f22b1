"""WorkerPoolConfig: every number of a worker pool, its range, and the three presets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pleme_redis_django.exceptions import InvalidName, InvalidSettings
from pleme_redis_django.jobs.interface.bounds import (
    DEADLINES,
    DEFAULT_KILL_AFTER_SECONDS,
    KILL_DELAYS,
    TIMEOUTS,
    Bounds,
)
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name
from pleme_redis_django.jobs.interface.workers import DEFAULT_LEASE_SECONDS
from pleme_redis_django.ranges import Number, Whole, said_beside_fields
from pleme_redis_django.wording import did_you_mean

EVERY_QUEUE = "*"
DEFAULT_QUEUE_KEY = "jobs"
DEFAULT_STALE_SECONDS = 7200.0
_DAY_SECONDS = 86_400


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPoolConfig:
    """How one pool works. A pool is one process; durations are seconds.

    Raises InvalidSettings, naming the field and its range, for a value that is out of it.
    """

    worker_count: Annotated[int, Whole(0, 1_000)] = 10
    """Sync handlers that run at once, each in a thread."""
    queue_key: str = DEFAULT_QUEUE_KEY
    """Namespace of the Redis hints; pools of different job models need different ones."""
    poll_timeout: Annotated[float, Number(0.05, 3_600)] = 30
    """Longest wait for a hint before the database is scanned: what a lost hint costs."""
    max_retries: Annotated[int, Whole(0, 1_000)] = 3
    """Retries of a job for which neither the enqueue nor its ``@job`` says how many."""
    base_retry_delay: Annotated[float, Number(0, _DAY_SECONDS)] = 60
    """Delay before the first retry; each later one doubles it."""
    max_retry_delay: Annotated[float, Number(0, 30 * _DAY_SECONDS)] = 3600
    """Longest delay before a retry."""
    retry_delay: str | None = None
    """Dotted path of a function of the retry's number and of what was raised that returns the seconds until it,
    where neither the job nor its model says them; None: the backoff."""
    retry_on: tuple[str, ...] = ()
    """Dotted paths of exception classes that are always retried, where neither enqueue nor ``@job`` names any."""
    no_retry_on: tuple[str, ...] = ()
    """Dotted paths of those that are never retried; it wins over ``retry_on``."""
    stale_job_threshold_seconds: Annotated[float, Number(1, 30 * _DAY_SECONDS)] = DEFAULT_STALE_SECONDS
    """A running job without a sign of life for so long is stale."""
    stale_check_interval_seconds: Annotated[float, Number(0.1, _DAY_SECONDS)] = 300
    """How often one worker of the cluster looks for stale and forgotten jobs."""

    queues: tuple[str, ...] = (EVERY_QUEUE,)
    """Queue names that the pool serves; ``*`` is every queue."""
    product: str | None = None
    """The only product that the pool serves; None: every product."""
    fair: bool = False
    """Whether the products share the pool's capacity, each by its weight; False: the jobs run in their order."""
    aging_seconds_per_point: Annotated[float | None, Number(0.001, 30 * _DAY_SECONDS)] = None
    """In a fair pool: a job that is due so much earlier runs before one of a point more; None: priorities rule."""
    async_count: Annotated[int, Whole(0, 10_000)] = 300
    """Async handlers that run at once, all in one event loop."""
    heartbeat_seconds: Annotated[float, Number(0.05, 3_600)] = 5
    """How often a process proves that it lives."""
    lease_seconds: Annotated[float, Number(0.2, _DAY_SECONDS)] = DEFAULT_LEASE_SECONDS
    """A process silent for so long is dead, and its jobs run elsewhere (over 2 heartbeats)."""
    lease_sweep_seconds: Annotated[float, Number(0.05, 3_600)] = 5
    """How often dead processes are looked for."""
    grace_seconds: Annotated[float, Number(0, _DAY_SECONDS)] = 30
    """How long running jobs may go on after SIGTERM before they are given back."""
    max_crashes: Annotated[int, Whole(3, 1_000)] = 3
    """A job at whose run worker processes died so often, the last ones while it ran alone, ends FAILED."""

    max_unseen_deaths: Annotated[int, Whole(5, 1_000)] = 10
    """A job that ran at so many worker processes in a row that vanished, the last ones while it ran alone, ends
    FAILED."""

    timeout: Annotated[float | None, TIMEOUTS] = None
    """How long an attempt may run, where neither the enqueue nor its ``@job`` says it; None: without limit."""
    kill_after: Annotated[float, KILL_DELAYS] = DEFAULT_KILL_AFTER_SECONDS
    """How long after its timeout an attempt is ended without its handler, and the process replaced."""
    interrupt: bool = True
    """Whether a timeout or a cancel raises in a sync handler, or cancels the task of an async one at its timeout."""
    retry_on_timeout: bool = True
    """Whether an attempt that timed out is retried like one that failed."""
    atomic: bool = False
    """Whether what a sync handler writes and its ending commit together, where nobody else says it."""
    isolated: bool = False
    """Whether each sync handler runs in a process of its own, where nobody else says it."""
    deadline: Annotated[float | None, DEADLINES] = None
    """How long after its enqueue a job may still start; None: without limit."""

    max_jobs_per_process: Annotated[int | None, Whole(1, 1_000_000_000)] = None
    """After about so many jobs a process lets another one take its place (up to a tenth fewer); None: never."""
    max_process_age_seconds: Annotated[float | None, Number(1, 366 * _DAY_SECONDS)] = None
    """After about so long a process lets another one take its place (up to a tenth sooner); None: never."""
    max_process_memory_mb: Annotated[int | None, Whole(16, 16_000_000)] = None
    """A process that occupies so much memory (up to a tenth less) lets another one take its place; None: never."""

    def __post_init__(self) -> None:
        for field, range_ in _RANGES.items():
            value = getattr(self, field)
            if not range_.accepts(value) and not (value is None and field in _MAY_BE_NONE):
                raise InvalidSettings(f"{field} is {value!r}. Accepted: {range_}.")
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            raise InvalidSettings(
                f"lease_seconds is {self.lease_seconds}, and heartbeat_seconds {self.heartbeat_seconds}. Accepted: "
                "a lease of at least two heartbeats, so that one late heartbeat does not cost a live process its jobs."
            )
        for field in ("fair", "interrupt", "retry_on_timeout", "atomic", "isolated"):
            if type(getattr(self, field)) is not bool:
                raise InvalidSettings(f"{field} is {getattr(self, field)!r}. Accepted: True or False.")
        if self.retry_delay is not None and not isinstance(self.retry_delay, str):
            raise InvalidSettings(
                f"retry_delay is {self.retry_delay!r}. Accepted: a dotted path of a function, None."
            )
        for field in ("retry_on", "no_retry_on"):
            object.__setattr__(self, field, _checked_paths(field, getattr(self, field)))
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
                hint = did_you_mean(key, known, otherwise=f"Known fields: {', '.join(known)}.")
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
    def bounds(self) -> Bounds:
        """Of attempts for which neither the enqueue nor the ``@job`` says them."""
        return Bounds(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Bounds)})

    @property
    def shares_between_products(self) -> bool:
        """Whether its claims are fair ones: of one product there is nothing to share."""
        return self.fair and self.product is None

    @property
    def aging(self) -> float | None:
        """``aging_seconds_per_point`` of a pool whose claims are fair ones; no other ages."""
        return self.aging_seconds_per_point if self.shares_between_products else None

    @property
    def queue_names(self) -> tuple[str, ...] | None:
        """The queues to serve, or None for every queue."""
        return None if EVERY_QUEUE in self.queues else self.queues


_RANGES = said_beside_fields(WorkerPoolConfig)
_MAY_BE_NONE = frozenset(
    {
        "aging_seconds_per_point",
        "timeout",
        "deadline",
        "max_jobs_per_process",
        "max_process_age_seconds",
        "max_process_memory_mb",
    }
)

PRESETS: dict[str, dict[str, Any]] = {
    "high_throughput": {
        "worker_count": 50,
        "async_count": 1_000,
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


def _checked_paths(field: str, paths: object) -> tuple[str, ...]:
    if isinstance(paths, list | tuple) and all(isinstance(path, str) for path in paths):
        return tuple(paths)
    raise InvalidSettings(f"{field} is {paths!r}. Accepted: a list of dotted paths of exception classes.")


def _checked_name(field: str, name: object) -> None:
    try:
        validate_queue_name(name)
    except InvalidName as error:
        raise InvalidSettings(f"{field}: {error}") from None
