"""The lane of sync handlers: each runs in one of a fixed number of threads."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence

from pleme_redis_django.exceptions import JobCancelled
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.worker.engine_thread import EngineThread
from pleme_redis_django.jobs.worker.holdings import HeldJob
from pleme_redis_django.jobs.worker.interrupts import Interruptible
from pleme_redis_django.jobs.worker.lanes import RECORD_LOOK_SECONDS, CountingLane, LaneDuties


class ThreadLane(CountingLane):
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
