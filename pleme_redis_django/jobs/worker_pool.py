"""WorkerPool: one process's worth of workers, from the first claim to the last ending."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic

from pleme_redis_django.exceptions import WorkerPoolBroken
from pleme_redis_django.jobs.calls import CallListener, WorkerCalls
from pleme_redis_django.jobs.claimer import Claimer, ClaimerDuties
from pleme_redis_django.jobs.events import (
    BurstHeldUp,
    DrainRequested,
    EngineBroken,
    EventSink,
    NullSink,
    WorkerStarted,
    WorkerStopped,
)
from pleme_redis_django.jobs.executing_page import ExecutingPage, SeenDeath, Stage
from pleme_redis_django.jobs.executor import (
    DispatchingExecutor,
    JobExecutor,
    async_job_types_of,
    count_slots,
    is_async_executor,
)
from pleme_redis_django.jobs.finisher import MAX_UNWRITTEN, Finisher
from pleme_redis_django.jobs.heartbeat import Heartbeat
from pleme_redis_django.jobs.hints import HintListener, HintQueue
from pleme_redis_django.jobs.holdings import HeldJob, Holdings
from pleme_redis_django.jobs.identity import WorkerIdentity, WorkerRegistry
from pleme_redis_django.jobs.lanes import Lane, LaneDuties, LoopLane, ThreadLane, let_go
from pleme_redis_django.jobs.maintenance import Maintenance
from pleme_redis_django.jobs.runner import DEFAULT_MAX_RESULTS_BYTES, JobRunner, JobScope
from pleme_redis_django.jobs.store import J_co, JobSelection, JobStore
from pleme_redis_django.jobs.suspects import SuspectRule
from pleme_redis_django.jobs.worker_pool_config import WorkerPoolConfig

# Without a queue of hints the store is scanned this often. With heartbeats and sweeps an idle process
# then makes just under one transaction a second.
SCAN_SECONDS_WITHOUT_HINTS = 2.5
# What shutdown grants the last writes, beyond the grace of the jobs themselves.
FLUSH_SECONDS = 10.0
# What is given back when a process drains is written by then, and others are woken for it.
GIVE_BACK_SECONDS = 0.2


class WorkerPool(Generic[J_co]):
    """Runs jobs of one store with one executor until it is stopped.

    ``registry`` makes the death of this process known within ``lease_seconds``; without one, only
    ``stale_job_threshold_seconds`` brings its jobs back. ``job_queue`` makes jobs start at once;
    without one, the store is scanned every 2.5 seconds. ``calls`` lets a cancel or a drain be noticed
    at once; without them, within ``lease_sweep_seconds`` or ``heartbeat_seconds``. ``page_fd``: the
    file of memory in which a supervisor sees what this process executes. ``suspects``: what is done about
    jobs that may kill their process; ``on_suspects`` is called when some are ready for another one.
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
        identity: WorkerIdentity | None = None,
        sink: EventSink | None = None,
        scope: JobScope | None = None,
        max_results_bytes: int = DEFAULT_MAX_RESULTS_BYTES,
        burst: bool = False,
        suspects: SuspectRule = SuspectRule.BESIDE,
        on_suspects: Callable[[], None] = lambda: None,
        page_fd: int | None = None,
    ) -> None:
        self.config = config
        threads, tasks = count_slots(executor, config.worker_count, config.async_count)
        self.identity = identity or WorkerIdentity(
            queues=config.queues,
            product=config.product,
            slots=threads + tasks,
            async_slots=tasks,
            lease_seconds=config.lease_seconds,
        )
        self._sink = sink or NullSink()
        self._holdings = Holdings(async_job_types_of(executor))
        self._ends_when_dry = burst or suspects is SuspectRule.ONLY
        self._draining = False
        self._drain_requested = False
        self.error: BaseException | None = None
        """What has ended a thread of the engine before its time; the pool drains then, and stops."""
        self._is_held_up = False
        self._returned = 0
        # No Event: end_grace() runs in signal handlers, which interrupt each other, and set() takes a lock.
        self._is_grace_over = False
        self._stopped = threading.Event()
        self._stop_lock = threading.Lock()
        self._job_queue = job_queue
        self._page = ExecutingPage(
            config.worker_count + config.async_count, self.identity.worker_id, fd=page_fd
        )
        runner = JobRunner(executor, config, scope=scope, max_results_bytes=max_results_bytes)
        self._finisher = Finisher(
            store,
            self._holdings,
            self._sink,
            max_unwritten=max(MAX_UNWRITTEN, 2 * (config.worker_count + config.async_count)),
            on_retry=self._note_due,
            on_idle=self._note_idle,
            on_held_up=self._note_held_up,
            on_broken=self._note_broken,
        )
        duties = LaneDuties(
            runner=runner,
            finish=self._finisher.add,
            sink=self._sink,
            may_start=self._may_start,
            on_low=self._wake_claimer,
            on_another_start=lambda: self.maintenance.note_another_start(),
            executing=self._page,
            on_broken=self._note_broken,
        )
        self._lanes = build_lanes(executor, config, duties)
        self._heartbeat = (
            Heartbeat(
                registry,
                self.identity,
                self._holdings,
                config,
                self._sink,
                on_drain=self._note_drain_request,
                on_new_id=self._page.note_worker,
                on_broken=self._note_broken,
            )
            if registry
            else None
        )
        self._call_listener = (
            CallListener(calls, self.identity, on_call=self._on_call, on_broken=self._note_broken)
            if calls
            else None
        )
        self._listener = (
            HintListener(
                job_queue,
                self._sink,
                on_hint=self._on_hint,
                timeout_seconds=config.poll_timeout,
                on_broken=self._note_broken,
            )
            if job_queue and not self._ends_when_dry
            else None
        )
        self._claimer = self._build_claimer(store, suspects, on_suspects)
        self.maintenance = Maintenance(
            store,
            registry,
            self._heartbeat,
            job_queue,
            self._holdings,
            self.identity,
            config,
            self._sink,
            known_types=self._known_types(),
            on_rescue=self._claimer.scan_soon,
            on_cancel=self._cancel,
            on_broken=self._note_broken,
            burst=burst,
        )

    def start(self) -> None:
        """Run until ``stop()`` is called from another thread, the process was asked to drain and has, or,
        in burst mode, nothing is ready. Raises WorkerPoolBroken when an error has ended a thread of the pool."""
        self.launch()
        if self._ends_when_dry:
            while not self._stopped.is_set() and not self._claimer.dry.wait(0.1):
                pass
            self.stop()
        self._stopped.wait()
        if self.error is not None:
            raise WorkerPoolBroken(
                "An error that nobody expected has ended a thread of this worker pool, which has drained and "
                "stopped. Start another one, in a new process where that is possible."
            ) from self.error

    def launch(self) -> None:
        """Start every thread, and return."""
        self._sink.emit(WorkerStarted(self.identity.worker_id))
        # Before the first claim, or a job that kills at once would look like a process that cannot start.
        self._page.note_stage(Stage.WORKING)
        self._finisher.start()
        if self._heartbeat is not None:
            self._heartbeat.start()
        for lane in self._lanes:
            lane.start()
        self._claimer.start()
        if self._listener is not None:
            self._listener.start()
        if self._call_listener is not None:
            self._call_listener.start()
        self.maintenance.start()

    def stop(self, grace_seconds: float | None = None) -> int:
        """Drain: claim no more, give back what has not started, let the rest end, write it all.

        What still runs after ``grace_seconds`` (default: the config's), or when ``end_grace()`` is
        called, is handed back, and its late ending will be refused. Returns how many jobs were
        given back; a second call waits for the first and returns 0.
        """
        grace = self.config.grace_seconds if grace_seconds is None else grace_seconds
        with self._stop_lock:
            if self._stopped.is_set():
                return 0
            returned = self._drain(grace)
            self._stopped.set()
            return returned

    def has_run_dry(self) -> bool:
        """Whether nothing was claimable any more; only ever true in burst mode."""
        return self._claimer.dry.is_set()

    def rescue_jobs_of(self, death: SeenDeath) -> None:
        """Have the jobs of a worker that has certainly ended run again, without waiting for its lease."""
        self.maintenance.note_death(death)

    def end_grace(self) -> None:
        """Hand back at once what still runs, when the pool is draining. Safe in a signal handler."""
        self._is_grace_over = True

    def _note_drain_request(self) -> None:
        if not self._drain_requested:
            self._drain_requested = self._draining = True
            self._sink.emit(DrainRequested(self.identity.worker_id))
            # In a thread of its own: the heartbeat, which learned of it, has to go on.
            threading.Thread(target=self._drain_patiently, name="pleme-drain", daemon=True).start()

    def _note_broken(self, thread: str, error: BaseException) -> None:
        """Stop, since a pool without one of its threads looks alive and does half of its work."""
        if self.error is None:
            self.error = error
            self._draining = True
            threading.Thread(target=self.stop, name="pleme-drain", daemon=True).start()
        self._sink.emit(EngineBroken(thread, error))

    def _note_held_up(self, count: int, error: Exception) -> None:
        if self._ends_when_dry and not self._is_held_up:
            self._is_held_up = True
            self._sink.emit(BurstHeldUp(count, error))

    def _drain_patiently(self) -> None:
        """Claim no more, and stop once what runs has ended: nobody hurries, so no grace period ends."""
        self._stop_claiming()
        self._holdings.wait_until_empty(GIVE_BACK_SECONDS)
        self._announce_returned()
        while not self._stopped.is_set() and not self._holdings.wait_until_empty(1.0):
            pass
        self.stop()

    def _stop_claiming(self) -> bool:
        """Claim no more, and give back what has not started; return whether every claim is known."""
        self._draining = True
        if self._heartbeat is not None:
            self._heartbeat.note_draining()
        if self._listener is not None:
            self._listener.stop()
        claims_known = self._claimer.stop(FLUSH_SECONDS)
        self._hand_back([held for lane in self._lanes for held in lane.take_waiting()])
        return claims_known

    def _drain(self, grace_seconds: float) -> int:
        claims_known = self._stop_claiming()
        for lane in self._lanes:
            lane.stop()
        self._wait_for_running(grace_seconds)
        running = self._holdings.all()
        for held in running:
            held.handed_back = True
        self._hand_back(running)
        # All of them together, for a database that does not answer holds each of them up.
        flush_until = time.monotonic() + FLUSH_SECONDS
        self._finisher.stop(FLUSH_SECONDS / 2)
        nothing_left = self.maintenance.stop(max(flush_until - time.monotonic(), 0)) and claims_known
        if self._heartbeat is not None:
            self._heartbeat.stop(max(flush_until - time.monotonic(), 0), in_good_order=nothing_left)
        if self._call_listener is not None:
            self._call_listener.stop()
        self._announce_returned()
        self._page.note_stage(Stage.STOPPED)
        self._sink.emit(WorkerStopped(self.identity.worker_id, self._returned, len(running)))
        return self._returned

    def _announce_returned(self) -> None:
        if self._returned and self._job_queue is not None:
            self._job_queue.nudge()

    def _wait_for_running(self, grace_seconds: float) -> None:
        deadline = time.monotonic() + grace_seconds
        while not self._is_grace_over and time.monotonic() < deadline:
            if self._holdings.wait_until_empty(min(0.1, grace_seconds)):
                return

    def _hand_back(self, jobs: Sequence[HeldJob]) -> None:
        self._returned += len(jobs)
        for held in jobs:
            self._finisher.add(held, let_go(held))

    def _build_claimer(
        self, store: JobStore[J_co], suspects: SuspectRule, on_suspects: Callable[[], None]
    ) -> Claimer:
        config = self.config
        return Claimer(
            store,
            self._lanes,
            self._holdings,
            self.identity,
            self._sink,
            ClaimerDuties(
                may_claim=lambda: self._may_claim() and not self._finisher.is_behind(),
                on_progress=self._finisher.note_progress,
                finish=self._finisher.add,
                claim_failed=self._note_failed_claim,
                more_may_come=lambda: self.maintenance.has_deaths_to_settle(),
                nudge=self._job_queue.nudge if self._job_queue else lambda: None,
                suspects_seen=on_suspects,
                set_room=self._listener.set_room if self._listener else lambda room: None,
                on_broken=self._note_broken,
            ),
            selection=JobSelection(
                queue_names=config.queue_names, product=config.product, job_types=self._known_types()
            ),
            scan_seconds=(
                config.poll_timeout
                if self._job_queue and suspects is not SuspectRule.ONLY
                else min(config.poll_timeout, SCAN_SECONDS_WITHOUT_HINTS)
            ),
            suspects=suspects,
            burst=self._ends_when_dry,
        )

    def _known_types(self) -> frozenset[str] | None:
        """Return the types that this pool runs, None when its executor takes any."""
        known = [lane.job_types for lane in self._lanes]
        return None if None in known else frozenset().union(*(types or () for types in known))

    def _may_claim(self) -> bool:
        return not self._draining and (self._heartbeat is None or self._heartbeat.is_current())

    def _may_start(self, held: HeldJob) -> bool:
        # What was claimed under an id that was declared dead since then is already someone else's.
        return self._may_claim() and held.context.claim.worker_id == self.identity.worker_id

    def _note_failed_claim(self) -> None:
        self.maintenance.expect_lost_claims()

    def _wake_claimer(self) -> None:
        self._claimer.wake()

    def _on_call(self) -> None:
        self.maintenance.note_call()
        if self._heartbeat is not None:
            self._heartbeat.beat_soon()

    def _on_hint(self) -> None:
        self._claimer.hint()

    def _note_due(self, delay_seconds: float) -> None:
        self._claimer.note_due(delay_seconds)

    def _note_idle(self) -> None:
        self._claimer.wake()

    def _cancel(self, held: HeldJob) -> None:
        for lane in self._lanes:
            if isinstance(lane, LoopLane):
                lane.cancel(held)


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
