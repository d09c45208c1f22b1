"""Lanes: where claimed jobs wait for a slot and run; threads for sync handlers, a loop for async.

A lane's counters have one writer each, and readers that may see them a moment late: no lock is
taken per job.
"""

from __future__ import annotations

import asyncio
import dataclasses
import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from pleme_redis_django.exceptions import JobCancelled, JobTimeout
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.events import EventSink, JobStarted
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.engine_thread import EngineThread
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage
from pleme_redis_django.jobs.worker.gate import Gate
from pleme_redis_django.jobs.worker.holdings import HeldJob, ending_if_unfinished
from pleme_redis_django.jobs.worker.interrupts import Interruptible
from pleme_redis_django.jobs.worker.loop_watch import LoopWatch
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.jobs.worker.time_limits import TimeLimits

# A job that keeps coming back waits for the record of its start, and no longer than this when the store is away.
LONGEST_RECORD_SECONDS = 1.0
RECORD_LOOK_SECONDS = 0.01


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LaneDuties:
    """What a lane calls: it runs jobs, and decides nothing about them."""

    runner: JobRunner
    finish: Callable[[HeldJob, Ending], None]
    sink: EventSink
    gate: Gate
    agenda: Agenda
    on_another_start: Callable[[], None]
    """A job starts that had been given back before."""
    executing: ExecutingPage
    limits: TimeLimits


class _CountingLane:
    def __init__(
        self,
        slots: int,
        duties: LaneDuties,
        job_types: frozenset[str] | None = None,
        *,
        first_slot: int = 0,
    ) -> None:
        self.slots = slots
        self.job_types = job_types
        self.low_water = -1
        self._duties = duties
        self._first_slot = first_slot
        self._submitted = 0
        self._taken = 0

    def _begin(self, held: HeldJob, slot: int) -> bool:
        """Start a job, or let it go: it was cancelled or deleted, or this process may not start any."""
        context = held.context
        context.bounds = bounds = self._duties.runner.bounds_of(context.job)
        # Before its time begins: a process of its own may have to be started.
        runs_apart = bounds.isolated and self._reserve_process(context)
        if (
            context.cancel_requested
            or held.unwanted
            or (held.expires_at is not None and held.has_expired())
            or not self._duties.gate.may_start(held)
        ):
            if runs_apart:
                self._release_process(context)
            self._duties.finish(held, ending_if_unfinished(held))
            return False
        held.started_at, held.slot = time.monotonic(), slot
        if bounds.timeout is not None:
            context.ends_at = held.started_at + bounds.timeout
            self._duties.limits.begin(slot, held, self, context.ends_at)
        if not runs_apart:  # It could not be what ends this process.
            self._duties.executing.begin(slot, context.job.id, context.claim.attempt)
        if held.runs_again:
            self._duties.on_another_start()
        self._duties.sink.emit(JobStarted(context.job))
        return True

    def time_out(self, held: HeldJob) -> None:
        """Tell the handler of a running job that its time is over, from any thread."""
        held.context.timed_out = True
        self._interrupt(held, JobTimeout)

    def _reserve_process(self, context: JobContext) -> bool:
        """Have a process ready in which the attempt runs apart; return whether it does."""
        return False

    def _release_process(self, context: JobContext) -> None:
        """Let others have the process."""

    def give_up(self, held: HeldJob) -> None:
        """End an attempt without its handler, which did not heed its timeout.

        With it ends the process, of which its slot stays taken: in a thread that waits for ever nothing can run. One
        that runs apart ends with the process of its own, and nothing else does.
        """
        isolation = self._duties.runner.isolation
        if isolation is not None and isolation.kill(held.context, JobTimeout()):
            return
        held.given_back = True
        run_seconds = 0.0 if held.started_at is None else time.monotonic() - held.started_at
        self._duties.finish(held, self._duties.runner.ending_of(JobTimeout(), held.context, run_seconds))
        self._duties.agenda.leaving.recycle(
            f"the handler of job {held.context.job.id} did not heed its timeout"
        )

    def _interrupt(self, held: HeldJob, kind: type[BaseException]) -> None:
        raise NotImplementedError

    def take_blocked(self) -> list[HeldJob]:
        """Take back what runs here and can never go on, since a handler that was given up is in its way."""
        return []

    def _waits_for_its_record(self, held: HeldJob) -> bool:
        """Whether the handler is to wait, because its start is not written yet.

        A handler that holds the interpreter's lock for longer than the lease silences its whole process at once:
        what had no start in time is taken for prefetched, and would come back without end, never counted.
        """
        if held.start_recorded or held.started_at is None:
            return False
        return time.monotonic() - held.started_at < LONGEST_RECORD_SECONDS

    def _end_unexpectedly(self, held: HeldJob, error: BaseException) -> None:
        """End an attempt out of which an exception came that nobody expected: no job is left without an ending."""
        self._duties.finish(held, self._duties.runner.ending_of(error, held.context))


class ThreadLane(_CountingLane):
    """Runs sync handlers, each in one of ``slots`` threads."""

    def __init__(
        self,
        slots: int,
        duties: LaneDuties,
        job_types: frozenset[str] | None = None,
        *,
        first_slot: int = 0,
    ) -> None:
        super().__init__(slots, duties, job_types, first_slot=first_slot)
        self._inbox: queue.SimpleQueue[HeldJob | None] = queue.SimpleQueue()
        self._ended = [0] * self.slots
        self._interruptible = [Interruptible() for _ in range(slots)]
        self._threads = [
            EngineThread(self._work, f"job-{index}", duties.agenda, args=(index,))
            for index in range(self.slots)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, jobs: Sequence[HeldJob]) -> None:
        """Take jobs to run, first ones first."""
        self._submitted += len(jobs)
        for held in jobs:
            self._inbox.put(held)

    def waiting(self) -> int:
        """Return how many jobs wait for a slot."""
        return self._inbox.qsize()

    def unfinished(self) -> int:
        """Return how many jobs wait or run."""
        return self._submitted - self._taken - sum(self._ended)

    def ended(self) -> int:
        """Return how many jobs have ended since the start."""
        return sum(self._ended)

    def take_waiting(self) -> list[HeldJob]:
        """Take back the jobs that have not started."""
        taken: list[HeldJob] = []
        while True:
            try:
                held = self._inbox.get_nowait()
            except queue.Empty:
                self._taken += len(taken)
                return taken
            if held is not None:
                taken.append(held)

    def cancel(self, held: HeldJob) -> None:
        """Raise JobCancelled in the handler of a running job, from any thread, unless it wants no interrupt."""
        if held.slot >= 0:
            self._interrupt(held, JobCancelled)

    def _reserve_process(self, context: JobContext) -> bool:
        if (isolation := self._duties.runner.isolation) is None:
            return False
        isolation.reserve(context)
        return True

    def _release_process(self, context: JobContext) -> None:
        if (isolation := self._duties.runner.isolation) is not None:
            isolation.release(context)

    def _interrupt(self, held: HeldJob, kind: type[BaseException]) -> None:
        if 0 <= (index := held.slot - self._first_slot) < self.slots:
            self._duties.runner.interrupt(held.context, self._interruptible[index], kind)

    def stop(self) -> None:
        """Let each thread end after the job it is running; they are not waited for."""
        for _thread in self._threads:
            self._inbox.put(None)

    def _work(self, index: int) -> None:
        inbox, run, finish = self._inbox, self._duties.runner.run, self._duties.finish
        slot, stop_executing = self._first_slot + index, self._duties.executing.end
        thread, end_limit = self._interruptible[index], self._duties.limits.end
        thread.bind()
        while (held := inbox.get()) is not None:
            try:
                if self._begin(held, slot):
                    while held.keeps_coming_back and self._waits_for_its_record(held):
                        time.sleep(RECORD_LOOK_SECONDS)
                    ending = run(held.context, thread)
                    if held.context.ends_at is not None:
                        end_limit(slot)
                    stop_executing(slot)
                    finish(held, ending)
            except BaseException as error:
                stop_executing(slot)
                self._end_unexpectedly(held, error)
            self._ended[index] += 1
            if inbox.qsize() <= self.low_water:
                self._duties.agenda.slot_free()


class LoopLane(_CountingLane):
    """Runs async handlers, up to ``slots`` at once, in one event loop in a thread of its own."""

    def __init__(
        self,
        slots: int,
        duties: LaneDuties,
        job_types: frozenset[str] | None = None,
        *,
        first_slot: int = 0,
    ) -> None:
        super().__init__(slots, duties, job_types, first_slot=first_slot)
        self._inbox: deque[HeldJob] = deque()
        self._free_slots = list(range(first_slot, first_slot + slots))
        self._tasks: dict[asyncio.Task[None], HeldJob] = {}
        self._ended = 0
        self._is_over = False
        self._loop = asyncio.new_event_loop()
        self._thread = EngineThread(self._run_loop, "async-jobs", duties.agenda)
        self._watch: LoopWatch | None = None
        """Since a handler was given up."""

    def start(self) -> None:
        """Start the loop's thread."""
        self._thread.start()

    def submit(self, jobs: Sequence[HeldJob]) -> None:
        """Take jobs to run, first ones first."""
        self._submitted += len(jobs)
        self._inbox.extend(jobs)
        self._loop.call_soon_threadsafe(self._fill_slots)

    def waiting(self) -> int:
        """Return how many jobs wait for a slot."""
        return len(self._inbox)

    def unfinished(self) -> int:
        """Return how many jobs wait or run."""
        return self._submitted - self._taken - self._ended

    def ended(self) -> int:
        """Return how many jobs have ended since the start."""
        return self._ended

    def take_waiting(self) -> list[HeldJob]:
        """Take back the jobs that have not started."""
        taken: list[HeldJob] = []
        while self._inbox:
            try:
                taken.append(self._inbox.popleft())
            except IndexError:
                break
        self._taken += len(taken)
        return taken

    def cancel(self, held: HeldJob) -> None:
        """Cancel the task of a running job, from any thread."""
        self._cancel_task(held)

    def _interrupt(self, held: HeldJob, kind: type[BaseException]) -> None:
        if held.context.bounds.interrupt is not False:
            self._cancel_task(held)

    def give_up(self, held: HeldJob) -> None:
        """End an attempt without its handler, which did not heed its timeout, and watch whether it blocks the loop."""
        super().give_up(held)
        self._watch = self._watch or LoopWatch(self._loop)

    def take_blocked(self) -> list[HeldJob]:
        """Take back all that runs in a loop that does not turn any more."""
        if self._watch is None or not self._watch.is_blocked():
            return []
        blocked = [held for held in list(self._tasks.values()) if not held.given_back]
        for held in blocked:
            held.given_back = True
            # Should the loop turn again after all: they run elsewhere by then.
            self._cancel_task(held)
        return blocked

    def _cancel_task(self, held: HeldJob) -> None:
        # A closed loop runs nothing that could be cancelled: the pool is being drained.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel, held)

    def stop(self) -> None:
        """Let the loop end once its tasks have; it is not waited for."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop_when_done)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not self._is_over:
                # asyncio lets SystemExit and KeyboardInterrupt of any task or callback out of here, and a
                # handler may call stop(). What it ends is its own job; those beside it go on.
                with suppress(SystemExit, KeyboardInterrupt):
                    self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _fill_slots(self) -> None:
        while self._inbox and len(self._tasks) < self.slots:
            try:
                held = self._inbox.popleft()
            except IndexError:
                return
            task = self._loop.create_task(self._work(held))
            self._tasks[task] = held
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        held = self._tasks.pop(task)
        if task.cancelled():
            # Cancelled before its first step, so that no ending came out of it.
            self._duties.finish(held, ending_if_unfinished(held))
        elif (error := task.exception()) is not None:
            # A GeneratorExit from an awaited task closes every coroutine on its way, endings included.
            self._end_unexpectedly(held, error)
        self._ended += 1
        self._fill_slots()
        if len(self._inbox) <= self.low_water:
            self._duties.agenda.slot_free()

    async def _work(self, held: HeldJob) -> None:
        slot = self._free_slots.pop()
        try:
            if self._begin(held, slot):
                while held.keeps_coming_back and self._waits_for_its_record(held):
                    await asyncio.sleep(RECORD_LOOK_SECONDS)
                self._duties.finish(held, await self._duties.runner.arun(held.context))
        finally:
            if held.context.ends_at is not None:
                self._duties.limits.end(slot)
            self._duties.executing.end(slot)
            self._free_slots.append(slot)

    def _cancel(self, held: HeldJob) -> None:
        for task, running in self._tasks.items():
            if running is held:
                task.cancel()

    def _stop_when_done(self) -> None:
        if self._tasks:
            next(iter(self._tasks)).add_done_callback(lambda _task: self._stop_when_done())
        else:
            self._is_over = True
            self._loop.stop()
