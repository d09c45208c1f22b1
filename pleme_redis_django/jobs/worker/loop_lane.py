"""The lane of async handlers: they run side by side in one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from pleme_redis_django.jobs.worker.engine_thread import EngineThread
from pleme_redis_django.jobs.worker.holdings import HeldJob, ending_if_unfinished
from pleme_redis_django.jobs.worker.lanes import RECORD_LOOK_SECONDS, CountingLane, LaneDuties
from pleme_redis_django.jobs.worker.loop_watch import LoopWatch


class LoopLane(CountingLane):
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
        """Take back everything that runs in a loop that no longer turns."""
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
