"""The figures of the dashboard as values, and as the one JSON payload of page, polling and websocket."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pleme_redis_django.monitoring.spans import ChartSpan

Level = Literal["ok", "note", "warning", "critical", "unknown"]
WorkerState = Literal["alive", "draining", "dead"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One problem (or a ``note``, which is none), and the page of the dashboard that shows it."""

    level: Level
    text: str
    page: Literal["queues", "workers", "schedules", "storage"] | None = None
    """None where no page shows more."""
    queue: str = ""
    """The one queue that it is about, with its ``product``; empty: none, or several."""
    product: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The judgement in one sentence, with its reasons."""

    level: Level
    sentence: str
    reasons: tuple[Reason, ...] = ()
    """The first of them, the worst before the others."""
    reason_count: int = 0
    """How many there are in all."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """The totals of the scope; None: never measured."""

    ready: int | None
    running: int | None
    blocked: int | None
    pending: int | None
    failed_last_hour: int | None
    """Jobs that ended FAILED in the last hour, as workers have counted them."""
    is_failing: bool
    """Whether of some queue more jobs fail than is usual."""
    oldest_ready_seconds: float | None
    """Since the ready job that waits longest was due; None also when none is ready."""
    is_capped: bool = False
    """Whether the backlog was too large to be counted: ready, blocked, running and pending are lower bounds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PauseNote:
    """Who paused a queue, why, and when."""

    product: str
    """Empty: the pause is one of every product."""
    by: str
    reason: str
    at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """One queue of one product."""

    product: str
    queue: str
    ready: int
    pending: int
    running: int
    oldest_ready_seconds: float | None
    done_per_minute: float
    """Jobs that came to an end (completed, failed, cancelled) a minute, over the last two."""
    growth_per_minute: float | None
    """By how many the ready jobs grow a minute, below 0: shrink; None: not measured for a minute yet."""
    failed_last_hour: int
    wait_p95: float | None
    """Seconds from due to claimed, 95th percentile of the last ten minutes; None: nothing was claimed."""
    clears_in_seconds: float | None
    """When the ready jobs will be through, new ones counted in; None: nothing is ready, or never."""
    paused: PauseNote | None
    spark: tuple[int | None, ...]
    """Ready jobs once a minute, oldest first, as many as ``metrics.recent.SPARK_POINTS``; None: not measured."""
    ended_of_late: int = 0
    """Jobs that came to an end in the last ten minutes."""
    failed_of_late: int = 0
    """Those of them that ended FAILED."""
    ended_usually: int = 0
    """Jobs that ended in the complete hours of the last week, for comparison."""
    failed_usually: int = 0
    run_p95: float | None = None
    """Seconds that handlers ran, 95th percentile of the last ten minutes."""
    oldest_running_seconds: float | None = None
    """Since the job was claimed that is held longest; None: none runs."""
    blocked: int = 0
    """Due, and waiting for a place in a limit, for a token of a rate, or for their turn."""
    is_capped: bool = False
    """Whether ready, blocked, running and pending are lower bounds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFigures:
    """One worker process."""

    id: UUID
    pool: str
    host: str
    pid: int
    release: str
    slots: int
    running: int
    """Jobs held at the last heartbeat."""
    state: WorkerState
    silent_seconds: float
    """Since the last heartbeat."""
    queues: tuple[str, ...]
    product: str
    """Empty: every product."""
    started_at: datetime
    async_slots: int = 0
    """How many of the slots take only async jobs; the others take only sync jobs."""
    async_running: int = 0
    is_quarantine: bool = False
    """Whether it runs jobs whose worker processes died, and no others."""
    drain_reason: str = ""
    """Why another one takes its place; empty: none does."""

    @property
    def claims(self) -> bool:
        """Whether it takes new jobs as they come."""
        return self.state == "alive" and not self.is_quarantine

    def serves(self, product: str, queue: str) -> bool:
        return self.product in ("", product) and not {"*", queue}.isdisjoint(self.queues)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """FAILED jobs of one cause."""

    fingerprint: str
    """Empty: endings without it, such as those of a project's own store."""
    error_class: str
    message: str
    """The beginning of the newest one's message."""
    job_type: str
    count: int
    last_at: datetime
    first_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that the overview shows at one moment."""

    at: datetime
    sampled_at: datetime | None
    """When the depths of the queues were measured; None: no worker process has done it yet."""
    is_old: bool
    """Whether the depths are too old: they should have been measured again by now."""
    health: Health
    cards: Cards
    queues: tuple[QueueFigures, ...]
    """The first of them, those in trouble before the others."""
    queue_count: int
    """How many there are in all."""
    workers: tuple[WorkerFigures, ...]
    worker_count: int
    failures: tuple[FailureGroup, ...]
    """The most frequent causes of the last 24 hours."""
    cause_count: int
    """How many causes there are in all."""
    failures_are_capped: bool
    """Whether more jobs failed in that time than are looked at: the counts are of the newest ones."""

    def as_json(self) -> dict[str, Any]:
        """Return the payload: nested dicts and lists of what JSON knows, times as ISO 8601 in UTC."""
        payload: dict[str, Any] = plain_values(self)
        return payload


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What the charts draw: one value for each of ``times``, None where nothing was measured."""

    span: ChartSpan
    step_seconds: int
    times: tuple[int, ...]
    """The beginning of each step, in Unix seconds."""
    ok: tuple[int | None, ...]
    """Jobs that ended COMPLETED in the step; ``retried`` and ``failed`` alike."""
    retried: tuple[int | None, ...]
    failed: tuple[int | None, ...]
    wait_p50: tuple[float | None, ...]
    """Seconds from due to claimed of the jobs that ended in the step."""
    wait_p95: tuple[float | None, ...]
    run_p50: tuple[float | None, ...]
    """Seconds that their handlers ran."""
    run_p95: tuple[float | None, ...]
    ready: tuple[int | None, ...]
    """The most ready jobs that a measurement in the step found; ``running`` and ``blocked`` alike."""
    running: tuple[int | None, ...]
    blocked: tuple[int | None, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the payload: lists and numbers."""
        payload: dict[str, Any] = plain_values(self)
        return payload


def plain_values(value: Any) -> Any:
    """Return what JSON knows for a figure; ``dataclasses.asdict`` would copy each number deeply."""
    if value is None or isinstance(value, int | float | str):
        return value
    if isinstance(value, tuple):
        return [plain_values(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return {field.name: plain_values(getattr(value, field.name)) for field in dataclasses.fields(value)}
