"""Random lives of limited jobs: two workers, three keys, and every moment at which one may be interrupted.

A claim and its admission are two steps, and so are an ending and the look at who waits: anything may come between.
Workers die and are rescued, jobs are cancelled, limits and rates are edited, hours pass. Never more run than the limit,
never more start than the rate lets, and at the end everything has ended. A subclass says how that is done to a store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from pleme_redis_django.jobs.interface.endings import Completed, GivenBack
from pleme_redis_django.jobs.interface.selection import JobSelection

KEYS = ["customer:a", "customer:b", "customer:c"]
EVERYTHING = JobSelection()
WORKERS = st.sampled_from([0, 1])
SETTLING_ROUNDS = 60
RATED = "tests.rated"
PER_HOUR, BURST = 1, 3
LIVES_UNTIL_FOUND = 100
LUCKY_SEED = 4  # It finds each fault within four lives, where another one may take thirty.


class Worker:
    """One process: what it has claimed, what it runs, and whose places it has not given away yet."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.id = str(uuid4())
        self.claimed: list[Any] = []
        self.running: list[Any] = []
        self.ended: list[Any] = []


class LimitedLives(RuleBasedStateMachine):
    """The rules."""

    # Not abstract: Hypothesis has a metaclass of its own.

    def make_store(self) -> Any:
        """Return what a worker works with; each has one of its own, or all have the same."""
        raise NotImplementedError

    def begin_life(self) -> None:
        """Store a limit of the keys and a rate of the type."""
        raise NotImplementedError

    def end_life(self) -> None:
        """Forget everything."""

    def add(self, **fields: Any) -> None:
        """Store a job that is ready."""
        raise NotImplementedError

    def claim_some(self, worker: Worker, count: int) -> Sequence[Any]:
        """Claim jobs, without their admission where that is another step."""
        raise NotImplementedError

    def admitted(self, worker: Worker) -> list[Any]:
        """Return which of the worker's claims may start."""
        raise NotImplementedError

    def cancel_first(self) -> None:
        """Cancel a job that is ready or waits, if there is one."""
        raise NotImplementedError

    def change_limit(self, number: int) -> None:
        raise NotImplementedError

    def change_rate(self, starts: int) -> None:
        raise NotImplementedError

    def pass_hours(self, hours: int) -> None:
        raise NotImplementedError

    def look(self, worker: Worker) -> None:
        """Make ready what may try to start."""
        worker.store.promote_due_jobs(1_000)

    def unclear(self) -> Sequence[Any]:
        """Return the jobs that wait without saying where, or say where and do not wait."""
        raise NotImplementedError

    def left(self) -> Sequence[Any]:
        """Return what has not ended."""
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.begin_life()
        self.number, self.is_paused, self.hours = 2, False, 0
        self.starts: list[tuple[int, int]] = []
        """Of each start by the rate, its hour and its cost."""
        self.workers = [Worker(self.make_store()), Worker(self.make_store())]
        self.dead: list[Any] = []
        self.zombies: list[Any] = []

    def anybody(self, holds: str) -> bool:
        """Whether one of the workers has something of that name."""
        return any(getattr(worker, holds) for worker in self.workers)

    def one_with(self, holds: str, index: int) -> Worker:
        """Return the worker, or the other one where it has nothing of that name."""
        worker = self.workers[index]
        return worker if getattr(worker, holds) else self.workers[1 - index]

    def stored_number(self, number: int) -> int:
        """Return what the row of the limit says where ``number`` may run."""
        return number

    @rule(
        key=st.sampled_from([*KEYS, None]),
        priority=st.integers(0, 1),
        cost=st.sampled_from([1, 1, 2]),
        job_type=st.sampled_from(["tests.noop", RATED]),
        count=st.integers(1, 3),
    )
    def enqueue(self, key: str | None, priority: int, cost: int, job_type: str, count: int) -> None:
        for _ in range(count):
            self.add(concurrency_key=key, priority=priority, cost=cost, job_type=job_type)

    @rule(index=WORKERS, count=st.integers(1, 6))
    def claim(self, index: int, count: int) -> None:
        worker = self.workers[index]
        worker.claimed += self.claim_some(worker, count)

    @precondition(lambda self: self.anybody("claimed"))
    @rule(index=WORKERS)
    def admit(self, index: int) -> None:
        self._admit(self.one_with("claimed", index))

    @rule(index=WORKERS, count=st.integers(1, 6))
    def claim_and_admit(self, index: int, count: int) -> None:
        """As it goes mostly: nothing comes between the two."""
        self.claim(index, count)
        self._admit(self.workers[index])

    def _admit(self, worker: Worker) -> None:
        if not worker.claimed:
            return
        before = self._executing()
        admitted = self.admitted(worker)
        worker.claimed = []
        worker.running += admitted
        for key, count in self._executing().items():
            assert count <= max(self.number, before.get(key, 0)), ("too many run", key, count, self.number)
        self.starts += [(self.hours, job.cost) for job in admitted if job.job_type == RATED]
        for since in range(self.hours + 1):
            started = sum(cost for hour, cost in self.starts if hour >= since)
            most = BURST + PER_HOUR * (self.hours - since)
            assert started <= most, ("too many have started", since, self.starts)

    @precondition(lambda self: self.anybody("running"))
    @rule(index=WORKERS, which=st.integers(0, 3), give_back=st.booleans())
    def end(self, index: int, which: int, give_back: bool) -> None:
        worker = self.one_with("running", index)
        job = worker.running.pop(which % len(worker.running))
        ending: Any = GivenBack if give_back else Completed
        assert worker.store.finish_jobs([ending(job_id=job.id, claim=job.claim)]) == [True]
        worker.ended.append(job)

    @precondition(lambda self: self.anybody("ended"))
    @rule(index=WORKERS)
    def let_others_in(self, index: int) -> None:
        self._let_others_in(self.one_with("ended", index))

    def _let_others_in(self, worker: Worker) -> None:
        ended, worker.ended = worker.ended, []
        worker.store.release_after(ended)

    @precondition(lambda self: self.anybody("claimed") or self.anybody("running"))
    @rule(index=WORKERS)
    def die(self, index: int) -> None:
        worker, self.workers[index] = self.workers[index], Worker(self.make_store())
        self.dead += [*worker.claimed, *worker.running]
        # What it ran may run on for a moment: its places are taken until it is rescued.
        self.zombies += worker.running
        if worker.ended:
            # It dies between an ending and the look at who waits: only the sweep sees to that.
            self.workers[index].store.release_overlooked(at_once=True)

    @precondition(lambda self: self.dead)
    @rule(index=WORKERS)
    def rescue(self, index: int) -> None:
        worker = self.workers[index]
        worker.store.finish_jobs([GivenBack(job_id=job.id, claim=job.claim) for job in self.dead])
        worker.ended += self.dead
        self.dead, self.zombies = [], []

    @precondition(lambda self: self.left())
    @rule()
    def cancel_one(self) -> None:
        self.cancel_first()

    @rule(number=st.integers(0, 3))
    def edit(self, number: int) -> None:
        self.change_limit(self.stored_number(number))
        self.number = number
        self.workers[0].store.release_overlooked(at_once=True)  # As the edit of an operator does.

    @rule(paused=st.booleans())
    def pause_rate(self, paused: bool) -> None:
        self.change_rate(0 if paused else PER_HOUR)
        self.is_paused = paused

    @precondition(lambda self: self.starts)
    @rule(hours=st.integers(1, 5))
    def let_hours_pass(self, hours: int) -> None:
        self.pass_hours(hours)
        self.hours += hours

    @precondition(lambda self: self.starts)
    @rule(index=WORKERS)
    def look_for_tokens(self, index: int) -> None:
        self.look(self.workers[index])

    @rule(index=WORKERS)
    def sweep(self, index: int) -> None:
        self.workers[index].store.release_overlooked()

    @invariant()
    def who_waits_says_where(self) -> None:
        if hasattr(self, "workers"):
            assert not self.unclear()

    def teardown(self) -> None:
        if not hasattr(self, "workers"):
            return
        try:
            self._let_all_end()
        finally:
            self.end_life()

    def _let_all_end(self) -> None:
        """From wherever it has got to, everything ends, without the sweep: nobody was forgotten."""
        if self.number < 2:
            self.edit(2)  # Each fits into it.
        if self.is_paused:
            self.pause_rate(False)
        self.rescue(0)
        for turn in range(SETTLING_ROUNDS):
            for worker in self.workers:
                self._let_others_in(worker)
            if not self.left():
                return
            self.let_hours_pass(BURST)
            self.look_for_tokens(turn % 2)
            self.claim(turn % 2, 20)
            for index, worker in enumerate(self.workers):
                self._admit(worker)
                while worker.running:
                    self.end(index, 0, give_back=False)
        raise AssertionError(f"these never ended: {self.left()}")

    def _executing(self) -> dict[str | None, int]:
        found: dict[str | None, int] = {}
        for job in [*self.workers[0].running, *self.workers[1].running, *self.zombies]:
            if job.concurrency_key is not None:
                found[job.concurrency_key] = found.get(job.concurrency_key, 0) + job.cost
        return found


def fault_is_found(lives: type[LimitedLives], told: str) -> None:
    """Check that random lives with a store that has a fault end with what it makes wrong."""
    machine = type("Seeded", (lives,), {})
    search = settings(bounds(LIVES_UNTIL_FOUND), phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError, match=told):
        run_machine(seed(LUCKY_SEED)(machine), settings=search)


def bounds(lives: int) -> settings:
    return settings(
        max_examples=lives,
        stateful_step_count=30,
        deadline=None,
        # Shrinking takes minutes: each life is a transaction, and ends with everything that it has begun.
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
