"""WorkerPool: the workers of one process, from the first claim to the last ending."""

from __future__ import annotations

from typing import Any, Generic

from pleme_redis_django.exceptions import InvalidSettings, WorkerPoolBroken
from pleme_redis_django.jobs.interface.calls import WorkerCalls
from pleme_redis_django.jobs.interface.events import EventSink, NullSink, WorkerStarted
from pleme_redis_django.jobs.interface.executor import JobExecutor, count_slots
from pleme_redis_django.jobs.interface.hints import HintQueue
from pleme_redis_django.jobs.interface.schedules import ScheduleBook
from pleme_redis_django.jobs.interface.store import J_co, JobStore
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity, WorkerRegistry
from pleme_redis_django.jobs.maintenance.dead_workers import SEEN_DEATHS
from pleme_redis_django.jobs.worker.executing_page import SeenDeath
from pleme_redis_django.jobs.worker.isolation import Isolation, NoIsolation
from pleme_redis_django.jobs.worker.runner import DEFAULT_MAX_RESULTS_BYTES, HandlerSurroundings, JobRunner
from pleme_redis_django.jobs.worker.suspects import RunMode, SuspectRule
from pleme_redis_django.jobs.worker_pool.abilities import check_abilities
from pleme_redis_django.jobs.worker_pool.assembly import Outside, assembled
from pleme_redis_django.jobs.worker_pool.shutdown import Shutdown


class WorkerPool(Generic[J_co]):
    """Runs jobs of one store with one executor until it is stopped.

    ``registry`` makes the death of this process known within ``lease_seconds``; without one, only
    ``stale_job_threshold_seconds`` brings its jobs back. ``job_queue`` makes jobs start at once;
    without one, the store is scanned every 2.5 seconds. ``calls`` lets a cancel or a drain be noticed
    at once; without them, within ``lease_sweep_seconds`` or ``heartbeat_seconds``. ``schedules``:
    what it fires by the clock. ``page_fd``: the file of memory in which a supervisor sees what this
    process executes. ``suspects``: what is done about jobs that may kill their process.
    ``has_supervisor``: somebody who hears of a limit that is reached (``max_jobs_per_process`` and the like)
    starts another process and calls ``recycle()`` then; without one, the pool drains at once, and stops.
    ``isolation``: where isolated jobs run; without it, they fail.

    Raises InvalidSettings for a fair pool on a store that cannot claim fairly.
    """

    def __init__(
        self,
        config: WorkerPoolConfig,
        job_queue: HintQueue | None,
        executor: JobExecutor[Any],
        store: JobStore[J_co],
        *,
        registry: WorkerRegistry | None = None,
        calls: WorkerCalls | None = None,
        schedules: ScheduleBook | None = None,
        identity: WorkerIdentity | None = None,
        sink: EventSink | None = None,
        scope: HandlerSurroundings | None = None,
        max_results_bytes: int = DEFAULT_MAX_RESULTS_BYTES,
        burst: bool = False,
        suspects: SuspectRule = SuspectRule.BESIDE,
        page_fd: int | None = None,
        has_supervisor: bool = False,
        isolation: Isolation | None = None,
    ) -> None:
        if config.fair and not store.supports_fairness:
            raise InvalidSettings(
                f"The pool is fair, and {type(store).__name__} has not the ability supports_fairness. Accepted: a "
                "store whose claim_jobs() shares between the products, or fair=False."
            )
        check_abilities(executor, store)
        self.config = config
        self.identity = identity or _identity_of(config, executor)
        self._sink = sink or NullSink()
        self._mode = RunMode(burst=burst, suspects=suspects)
        runner = JobRunner(
            executor,
            config,
            scope=scope,
            max_results_bytes=max_results_bytes,
            store=store,
            isolation=isolation or NoIsolation(),
        )
        outside = Outside(
            store=store,
            hints=job_queue,
            registry=registry,
            calls=calls,
            # A process that ends when nothing is ready is not there when a tick is due.
            schedules=None if self._mode.ends_when_dry else schedules,
            sink=self._sink,
        )
        self._parts = assembled(
            config,
            self.identity,
            executor,
            runner,
            outside,
            mode=self._mode,
            page_fd=page_fd,
            has_supervisor=has_supervisor,
        )
        self._shutdown = Shutdown(self._parts, self._sink, config.grace_seconds)

    def start(self) -> None:
        """Run until ``stop()`` is called from another thread, the process was asked to drain or has reached a
        limit of its pool, and has drained, or, in burst mode, nothing is ready.

        Raises WorkerPoolBroken when an error has ended a thread of the pool.
        """
        self.launch()
        if self._mode.ends_when_dry:
            while not self._shutdown.is_over.is_set() and not self._parts.claimer.dry.wait(0.1):
                pass
            self.stop()
        self._shutdown.is_over.wait()
        if self.error is not None:
            raise WorkerPoolBroken(
                "An unexpected error has ended a thread of this worker pool, which has drained and "
                "stopped. Start another one, in a new process where that is possible."
            ) from self.error

    @property
    def error(self) -> BaseException | None:
        """What has ended a thread of the engine before its time; the pool drains then, and stops."""
        broken = self._parts.agenda.leaving.broken
        return broken[0][1] if broken else None

    def launch(self) -> None:
        """Start every thread, and return."""
        self._sink.emit(WorkerStarted(self.identity.worker_id))
        self._parts.start()
        self._shutdown.watch()

    def stop(self, grace_seconds: float | None = None) -> int:
        """Drain: claim no more, give back what has not started, let the rest end, write it all.

        What still runs after ``grace_seconds`` (default: the config's), or when ``end_grace()`` is
        called, is given back, and its late ending will be refused. Returns how many jobs were
        given back; a second call waits for the first and returns 0.
        """
        return self._shutdown.stop(self.config.grace_seconds if grace_seconds is None else grace_seconds)

    def has_run_dry(self) -> bool:
        """Whether nothing was claimable any more; only ever true in burst mode."""
        return self._parts.claimer.dry.is_set()

    def rescue_jobs_of(self, death: SeenDeath) -> None:
        """Have the jobs of a worker that has certainly ended run again, without waiting for its lease."""
        self._parts.dead_workers.note(death)
        self._parts.maintainer.do_in(0.0, SEEN_DEATHS)

    def recycle(self) -> None:
        """Claim no more, run what is claimed, and stop: another process has taken this one's place."""
        agenda = self._parts.agenda
        agenda.leaving.recycle(
            agenda.leaving.limit_reached or "another one has taken its place", lets_waiting_run=True
        )

    def end_grace(self) -> None:
        """Give back at once what still runs, when the pool is draining. Safe in a signal handler."""
        self._shutdown.end_grace()


def _identity_of(config: WorkerPoolConfig, executor: JobExecutor[Any]) -> WorkerIdentity:
    threads, tasks = count_slots(executor, config.worker_count, config.async_count)
    description = WorkerDescription(
        queues=config.queues,
        product=config.product,
        slots=threads + tasks,
        async_slots=tasks,
        lease_seconds=config.lease_seconds,
    )
    return WorkerIdentity(description)
