"""Assembly: builds the parts of a worker pool; the one place that knows which part needs which."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from pleme_redis_django.jobs.interface.calls import WorkerCalls
from pleme_redis_django.jobs.interface.events import EventSink, ProcessLimitReached
from pleme_redis_django.jobs.interface.executor import (
    DispatchingExecutor,
    JobExecutor,
    async_job_types_of,
    is_async_executor,
)
from pleme_redis_django.jobs.interface.hints import HintQueue, NoHints
from pleme_redis_django.jobs.interface.schedules import ScheduleBook
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.interface.workers import NoRegistry, WorkerIdentity, WorkerRegistry
from pleme_redis_django.jobs.maintenance.dead_workers import DeadWorkers
from pleme_redis_django.jobs.maintenance.declared_limits import declared_limits_duty
from pleme_redis_django.jobs.maintenance.due_schedules import DueSchedules
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.maintenance.elections import Elections
from pleme_redis_django.jobs.maintenance.expired_jobs import expired_jobs_duty
from pleme_redis_django.jobs.maintenance.forgotten_jobs import hint_forgotten_jobs
from pleme_redis_django.jobs.maintenance.lost_claims import REQUESTS, LostClaims
from pleme_redis_django.jobs.maintenance.maintainer import Maintainer
from pleme_redis_django.jobs.maintenance.overlooked_jobs import OVERLOOKED_SWEEPS, overlooked_jobs_duty
from pleme_redis_django.jobs.maintenance.recycling import Recycling
from pleme_redis_django.jobs.maintenance.rescues import Rescues
from pleme_redis_django.jobs.maintenance.retention import Retention
from pleme_redis_django.jobs.maintenance.silent_jobs import end_silent_jobs
from pleme_redis_django.jobs.maintenance.starts import StartRecords
from pleme_redis_django.jobs.maintenance.unserved_jobs import report_unserved_jobs
from pleme_redis_django.jobs.worker.agenda import SCAN_SECONDS_WITHOUT_HINTS, Agenda
from pleme_redis_django.jobs.worker.call_listener import CallListener
from pleme_redis_django.jobs.worker.claim_desk import ClaimDesk
from pleme_redis_django.jobs.worker.claimer import Claimer
from pleme_redis_django.jobs.worker.clearance import Clearance
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage
from pleme_redis_django.jobs.worker.finisher import Finisher
from pleme_redis_django.jobs.worker.heartbeat import Heartbeat, NoHeartbeat
from pleme_redis_django.jobs.worker.hint_listener import HintListener
from pleme_redis_django.jobs.worker.hint_relay import HintRelay
from pleme_redis_django.jobs.worker.holdings import Holdings
from pleme_redis_django.jobs.worker.isolation import NoIsolation
from pleme_redis_django.jobs.worker.lane import Lane, LaneDemand
from pleme_redis_django.jobs.worker.lanes import LaneDuties
from pleme_redis_django.jobs.worker.lease import EndlessLease, Lease
from pleme_redis_django.jobs.worker.loop_lane import LoopLane
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.jobs.worker.suspects import RunMode, SuspectRule, SuspectTurns
from pleme_redis_django.jobs.worker.thread_lane import ThreadLane
from pleme_redis_django.jobs.worker.time_limits import TimeLimits
from pleme_redis_django.jobs.worker_pool.parts import WorkerParts

CARETAKER_ROLE = "caretaker"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a pool talks to."""

    store: JobStore[Any]
    hints: HintQueue | None
    registry: WorkerRegistry | None
    calls: WorkerCalls | None
    schedules: ScheduleBook | None
    sink: EventSink


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Core:
    """What nearly every part needs."""

    config: WorkerPoolConfig
    identity: WorkerIdentity
    outside: Outside
    store: JobStore[Any]
    sink: EventSink
    hints: HintQueue
    registry: WorkerRegistry
    agenda: Agenda
    holdings: Holdings
    told: ReleasedJobs


def assembled(
    config: WorkerPoolConfig,
    identity: WorkerIdentity,
    executor: JobExecutor[Any],
    runner: JobRunner,
    outside: Outside,
    *,
    mode: RunMode,
    page_fd: int | None,
    has_supervisor: bool,
) -> WorkerParts:
    """Return the parts of a pool, not started yet."""
    core = _core(config, identity, executor, outside, mode)
    slots = config.worker_count + config.async_count
    page = ExecutingPage(slots, identity.worker_id, fd=page_fd)
    heartbeat = _heartbeat(core, page)
    clearance = Clearance(heartbeat.lease, identity, core.agenda)
    finisher = _finisher(core, slots, mode)
    maintainer = _maintainer(core)
    limits = TimeLimits(core.agenda)
    starts = StartRecords(core.store, core.holdings, maintainer)
    duties = LaneDuties(
        runner=runner,
        finish=finisher.add,
        sink=core.sink,
        clearance=clearance,
        agenda=core.agenda,
        on_another_start=starts.note_start,
        executing=page,
        limits=limits,
    )
    lanes = build_lanes(executor, config, duties)
    claimer = _claimer(core, lanes, clearance, finisher, mode)
    maintainer.take_on(*_recycling(core, lanes, waits=has_supervisor and not mode.ends_when_dry).duties())
    dead_workers, lost_claims = _take_on_duties(core, maintainer, starts, lanes, heartbeat.lease, mode)
    return WorkerParts(
        identity=identity,
        hints=core.hints,
        agenda=core.agenda,
        holdings=core.holdings,
        page=page,
        heartbeat=heartbeat,
        clearance=clearance,
        finisher=finisher,
        limits=limits,
        isolation=runner.isolation or NoIsolation(),
        lanes=lanes,
        claimer=claimer,
        maintainer=maintainer,
        dead_workers=dead_workers,
        lost_claims=lost_claims,
        hint_listeners=[] if mode.ends_when_dry else _hint_listeners(core),
        call_listeners=_call_listeners(core, maintainer, heartbeat),
    )


def _core(
    config: WorkerPoolConfig,
    identity: WorkerIdentity,
    executor: JobExecutor[Any],
    outside: Outside,
    mode: RunMode,
) -> _Core:
    hints = outside.hints or NoHints()
    agenda = Agenda(_scan_seconds(config, outside, mode))
    return _Core(
        config=config,
        identity=identity,
        outside=outside,
        store=outside.store,
        sink=outside.sink,
        hints=hints,
        registry=outside.registry or NoRegistry(),
        agenda=agenda,
        holdings=Holdings(async_job_types_of(executor)),
        told=ReleasedJobs(agenda, hints, queue_names=config.queue_names, product=config.product),
    )


def _heartbeat(core: _Core, page: ExecutingPage) -> Heartbeat | NoHeartbeat:
    if core.outside.registry is None:
        return NoHeartbeat()
    return Heartbeat(core.registry, core.identity, core.holdings, core.config, core.sink, core.agenda, page)


def _finisher(core: _Core, slots: int, mode: RunMode) -> Finisher:
    return Finisher(
        core.store,
        core.holdings,
        core.sink,
        core.agenda,
        slots=slots,
        burst=mode.ends_when_dry,
        told=core.told,
    )


def _claimer(
    core: _Core, lanes: Sequence[Lane], clearance: Clearance, finisher: Finisher, mode: RunMode
) -> Claimer:
    config = core.config
    selection = JobSelection(
        queue_names=config.queue_names,
        product=config.product,
        job_types=known_types(lanes),
        fair=config.shares_between_products,
        aging_seconds_per_point=config.aging,
    )
    desk = ClaimDesk(
        core.store,
        selection,
        core.identity,
        core.holdings,
        core.sink,
        core.agenda,
        on_progress=finisher.progress.note,
        told=core.told,
    )
    return Claimer(
        desk,
        LaneDemand(lanes, fair=config.shares_between_products),
        core.agenda,
        clearance,
        finisher,
        HintRelay(core.hints),
        SuspectTurns(mode.suspects, core.holdings, core.sink),
        core.sink,
        burst=mode.ends_when_dry,
    )


def _maintainer(core: _Core) -> Maintainer:
    return Maintainer(
        "maintenance",
        Elections(core.registry, core.identity, core.config.queue_key),
        core.sink,
        core.agenda,
        probe=lambda: core.store.held_jobs(core.identity.worker_id),
    )


def _take_on_duties(
    core: _Core,
    maintainer: Maintainer,
    starts: StartRecords,
    lanes: Sequence[Lane],
    lease: Lease | EndlessLease,
    mode: RunMode,
) -> tuple[DeadWorkers, LostClaims]:
    store, config, sink, agenda = core.store, core.config, core.sink, core.agenda
    outage = maintainer.thread.outage
    rescues = Rescues(store, core.hints, sink, agenda, outage, core.told)
    lost_claims = LostClaims(store, core.holdings, core.identity, sink, agenda, lanes, rescues, outage)
    dead_workers = DeadWorkers(store, core.registry, rescues, config, sink, agenda, burst=mode.burst)
    # What one worker does for all of them, now and then.
    types = known_types(lanes)
    caretaking: dict[str, Callable[[], object]] = {
        "silent_jobs": lambda: end_silent_jobs(store, rescues, config, sink),
        "forgotten_jobs": lambda: hint_forgotten_jobs(store, core.hints, sink),
        "unserved_jobs": lambda: report_unserved_jobs(store, types, sink),
    }
    maintainer.take_on(
        *dead_workers.duties(may_sweep=lease.is_unbroken),
        starts.duty(config.lease_sweep_seconds),
        expired_jobs_duty(store, sink, core.told, config.lease_sweep_seconds),
        overlooked_jobs_duty(
            store, core.hints, sink, core.told, OVERLOOKED_SWEEPS * config.lease_sweep_seconds
        ),
        declared_limits_duty(store, core.hints, core.told),
        *lost_claims.duties(config.lease_sweep_seconds),
        Retention(store, maintainer, sink).duty(),
        *(
            Duty(name=name, run=run, every_seconds=config.stale_check_interval_seconds, role=CARETAKER_ROLE)
            for name, run in caretaking.items()
        ),
    )
    if core.outside.schedules is not None:
        DueSchedules(core.outside.schedules, maintainer, sink).take_on()
    maintainer.end_with(lost_claims.give_back_all)
    return dead_workers, lost_claims


def _recycling(core: _Core, lanes: Sequence[Lane], *, waits: bool) -> Recycling:
    def tell(reason: str) -> None:
        core.sink.emit(ProcessLimitReached(core.identity.worker_id, reason))

    return Recycling(core.config, core.agenda, lanes, tell, waits=waits)


def _hint_listeners(core: _Core) -> list[HintListener]:
    if core.outside.hints is None:
        return []
    return [
        HintListener(
            core.hints,
            core.sink,
            core.agenda,
            timeout_seconds=core.config.poll_timeout,
            fair=core.config.shares_between_products,
        )
    ]


def _call_listeners(
    core: _Core, maintainer: Maintainer, heartbeat: Heartbeat | NoHeartbeat
) -> list[CallListener]:
    if core.outside.calls is None:
        return []

    def look_at_requests() -> None:
        maintainer.do_in(0.0, REQUESTS)
        heartbeat.beat_soon()

    return [CallListener(core.outside.calls, core.identity, core.agenda, on_call=look_at_requests)]


def _scan_seconds(config: WorkerPoolConfig, outside: Outside, mode: RunMode) -> float:
    if outside.hints is not None and mode.suspects is not SuspectRule.ONLY:
        return config.poll_timeout
    return min(config.poll_timeout, SCAN_SECONDS_WITHOUT_HINTS)


def known_types(lanes: Sequence[Lane]) -> frozenset[str] | None:
    """Return the types that the lanes run, None when they take any."""
    known = [lane.job_types for lane in lanes]
    return None if None in known else frozenset().union(*(types or () for types in known))


def build_lanes(executor: JobExecutor[Any], config: WorkerPoolConfig, duties: LaneDuties) -> list[Lane]:
    """Return a lane of threads, a lane of an event loop, or both, as the executor's jobs need."""
    if not isinstance(executor, DispatchingExecutor):
        if is_async_executor(executor):
            return [LoopLane(config.async_count, duties)]
        return [ThreadLane(config.worker_count, duties)]
    lanes: list[Lane] = []
    sync_types, async_types = executor.sync_job_types(), executor.async_job_types()
    if config.worker_count and (sync_types or not async_types):
        lanes.append(ThreadLane(config.worker_count, duties, sync_types))
    if config.async_count and async_types:
        lanes.append(LoopLane(config.async_count, duties, async_types, first_slot=config.worker_count))
    return lanes
