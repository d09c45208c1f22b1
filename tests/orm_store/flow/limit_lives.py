"""Random lives of limited jobs: two workers, three keys, three lines, and every moment at which one may be interrupted.

A claim and its admission are two steps, and so are an ending and the look at who waits: anything may come between.
Jobs complete, fail, are retried and cancelled; workers die, and the duty for dead workers rescues what they held, or
dies itself; limits and rates are edited, hours pass. Never more run than the limit, never more start than the rate
lets, nobody overtakes in a line, and at the end everything has ended. A subclass says how that is done to a store.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from pleme_redis_django.jobs.interface.endings import Completed, Ending
from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_UNSEEN_DEATHS, JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.indexes import LINE_PREFIX
from tests.orm_store.flow.limited_workers import ENDINGS, Worker, ending_of, rescue_all

KEYS = ["customer:a", "customer:b", "customer:c"]
ORDER_KEYS = ["order:1", "order:2", "order:3"]
EVERYTHING = JobSelection()
RATED = "tests.rated"
WORKERS = st.sampled_from([0, 1])
WHICH = st.integers(0, 7)
RARELY = st.integers(0, 9).map(lambda number: number == 9)
JOBS = st.lists(
    st.fixed_dictionaries(
        {
            "concurrency_key": st.sampled_from([*KEYS, None]),
            "order_key": st.sampled_from([*ORDER_KEYS, None, None, None]),
            "priority": st.integers(0, 1),
            "cost": st.sampled_from([1, 1, 2]),
            "job_type": st.sampled_from(["tests.noop", "tests.noop", RATED]),
        }
    ),
    min_size=2,
    max_size=4,
)
SETTLING_ROUNDS = 60
PER_HOUR, BURST = 1, 3
LIVES_UNTIL_FOUND = 100
LUCKY_SEED = 4  # It finds each fault within ten lives, where another one may take sixty.


class Lines:
    """Who came before whom in a line of strict order when it went there."""

    def __init__(self) -> None:
        self._places: dict[UUID, tuple[int, int]] = {}
        self._before: dict[UUID, set[UUID]] = {}

    def add(self, job: Any, rows: Sequence[Any]) -> None:
        """Take note of a job that has gone into its line. ``rows``: what has not ended."""
        place = self._places[job.id] = (-job.priority, len(self._places))
        others = [row for row in rows if row.order_key == job.order_key and row.id != job.id]
        self._before[job.id] = {row.id for row in others if row.attempt or self._places[row.id] < place}

    def overtaken(self, job: Any, rows: Sequence[Any]) -> set[UUID]:
        """Return which of the rows, which have not ended, should have ended before the job starts."""
        return self._before.get(job.id, set()) & {row.id for row in rows}


class LimitedLives(RuleBasedStateMachine):
    """The rules."""

    # Not abstract: Hypothesis has a metaclass of its own.

    registry: Any
    """Who knows which workers are dead."""

    def make_store(self) -> Any:
        """Return what a worker works with; each has one of its own, or all have the same."""
        raise NotImplementedError

    def begin_life(self) -> None:
        """Store a limit of the keys and a rate of the type."""
        raise NotImplementedError

    def end_life(self) -> None:
        """Forget everything."""

    def add(self, *, dies: bool, **fields: Any) -> Any:
        """Store a job that is due, and let it in if it comes first in its line, unless the process dies before."""
        raise NotImplementedError

    def claim_some(self, worker: Worker, count: int) -> Sequence[Any]:
        """Claim jobs, without their admission where that is another step."""
        raise NotImplementedError

    def admitted(self, worker: Worker) -> list[Any]:
        """Return which of the worker's claims may start."""
        raise NotImplementedError

    def lose(self, worker: Worker) -> None:
        """Have the registry know that a worker is dead."""
        raise NotImplementedError

    def cancel(self, job_id: UUID, *, dies: bool) -> None:
        """Cancel a job that has not ended, and let others in, unless the process dies before."""
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

    def left(self) -> Sequence[Any]:
        """Return what has not ended."""
        raise NotImplementedError

    def has_turn(self, row: Any) -> bool:
        """Whether the row, which has an order key and has not ended, is the one of it that may run."""
        return not is_in_line(row)

    @initialize(jobs=JOBS)
    def begin(self, jobs: list[dict[str, Any]]) -> None:
        self.begin_life()
        self.number, self.is_paused, self.hours = 2, False, 0
        self.starts: list[tuple[int, int]] = []
        """Of each start by the rate, its hour and its cost."""
        self.workers = [Worker(self.make_store()), Worker(self.make_store())]
        self.dead: list[Any] = []
        self.zombies: list[Any] = []
        self.deaths = 0
        self.lines = Lines()
        self.rows: Sequence[Any] = []
        """What had not ended after the last step."""
        self.is_left_to_sweeps = False
        """Whether one has died that was about to let others in."""
        self.enqueue(jobs, dies=False)

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

    @rule(jobs=JOBS, dies=RARELY)
    def enqueue(self, jobs: list[dict[str, Any]], dies: bool) -> None:
        for fields in jobs:
            job = self.add(dies=dies, **fields)
            if job.order_key is not None:
                self.lines.add(job, self.left())
                self.is_left_to_sweeps |= dies

    @rule(index=WORKERS, count=st.integers(1, 6))
    def claim(self, index: int, count: int) -> None:
        worker = self.workers[index]
        worker.claimed += self.claim_some(worker, count)

    @precondition(lambda self: self.anybody("claimed"))
    @rule(index=WORKERS)
    def admit(self, index: int) -> None:
        self._admit(self.one_with("claimed", index))

    @rule(index=WORKERS, count=st.integers(1, 6), kinds=st.lists(st.sampled_from(ENDINGS), max_size=2))
    def run_some(self, index: int, count: int, kinds: list[type[Ending]]) -> None:
        """As it goes mostly: nothing comes between."""
        self.claim(index, count)
        self._admit(self.workers[index])
        for kind in kinds[: len(self.workers[index].running)]:
            self.end(index, 0, kind, looks=True)

    def _admit(self, worker: Worker) -> None:
        if not worker.claimed:
            return
        before = self._executing()
        admitted = self.admitted(worker)
        worker.claimed = []
        worker.running += admitted
        for key, count in self._executing().items():
            assert count <= max(self.number, before.get(key, 0)), ("too many run", key, count, self.number)
        if any(job.order_key is not None for job in admitted):
            rows = self.left()
            for job in admitted:
                assert not self.lines.overtaken(job, rows), ("an older one has not ended", job.order_key)
        self.starts += [(self.hours, job.cost) for job in admitted if job.job_type == RATED]
        for since in range(self.hours + 1):
            started = sum(cost for hour, cost in self.starts if hour >= since)
            most = BURST + PER_HOUR * (self.hours - since)
            assert started <= most, ("too many have started", since, self.starts)

    @precondition(lambda self: self.anybody("running"))
    @rule(index=WORKERS, which=WHICH, kind=st.sampled_from(ENDINGS), looks=st.booleans())
    def end(self, index: int, which: int, kind: type[Ending], looks: bool) -> None:
        worker = self.one_with("running", index)
        job = worker.running.pop(which % len(worker.running))
        assert worker.store.finish_jobs([ending_of(job, kind)]) == [True]
        worker.ended.append(job)
        if looks:
            self._let_others_in(worker)

    @precondition(lambda self: self.anybody("ended"))
    @rule(index=WORKERS)
    def let_others_in(self, index: int) -> None:
        self._let_others_in(self.one_with("ended", index))

    def _let_others_in(self, worker: Worker) -> None:
        ended, worker.ended = worker.ended, []
        if ended:
            worker.store.release_after(ended)

    # After more deaths it would run alone, as a suspect.
    @precondition(lambda self: self.deaths < SUSPECT_AFTER_UNSEEN_DEATHS - 1)
    @precondition(lambda self: any(self.anybody(holds) for holds in ("claimed", "running", "ended")))
    @rule(index=WORKERS, is_asked=st.booleans(), is_swept=st.booleans())
    def die(self, index: int, is_asked: bool, is_swept: bool) -> None:
        worker, self.workers[index] = self.workers[index], Worker(self.make_store())
        for job in worker.running:
            assert worker.store.mark_job_running(job.id, claim=job.claim)
            if is_asked:
                self.cancel(job.id, dies=False)
        self.lose(worker)
        self.deaths += 1
        self.dead += [*worker.claimed, *worker.running]
        # What it ran may run on for a moment: its places are taken until it is rescued.
        self.zombies += worker.running
        if worker.ended:
            # It dies between an ending and the look at who waits: only a sweep sees to that.
            self.is_left_to_sweeps = True
            if is_swept:
                self._sweep_at_once()

    @precondition(lambda self: self.dead)
    @rule(index=WORKERS, dies=RARELY)
    def rescue(self, index: int, dies: bool) -> None:
        assert rescue_all(self.workers[index].store, self.registry, dies=dies) == len(self.dead)
        self.is_left_to_sweeps |= dies
        self.dead, self.zombies = [], []

    @precondition(lambda self: self.rows)
    @rule(which=WHICH, runs=st.booleans(), dies=RARELY)
    def cancel_one(self, which: int, runs: bool, dies: bool) -> None:
        running = [row for row in self.rows if row.status == JobStatus.RUNNING]
        rows = (running if runs else self.rows) or self.rows
        self.cancel(rows[which % len(rows)].id, dies=dies)
        self.is_left_to_sweeps |= dies

    # One rule: as two, they were half of all steps.
    @rule(number=st.sampled_from([0, 1, 2, 3, None]))
    def edit(self, number: int | None) -> None:
        """Change the limit; None: pause the rate, or have it go on."""
        if number is None:
            self._pause_rate(not self.is_paused)
        else:
            self._edit_limit(number)

    def _edit_limit(self, number: int) -> None:
        self.change_limit(self.stored_number(number))
        self.number = number
        self._sweep_at_once()  # As the edit of an operator does.

    def _sweep_at_once(self) -> None:
        self.workers[0].store.release_overlooked(at_once=True)
        self.is_left_to_sweeps = False

    def _pause_rate(self, paused: bool) -> None:
        self.change_rate(0 if paused else PER_HOUR)
        self.is_paused = paused

    @precondition(lambda self: self.waits_for_time())
    @rule(hours=st.integers(1, 5))
    def let_hours_pass(self, hours: int) -> None:
        self.pass_hours(hours)
        self.hours += hours

    @precondition(lambda self: self.waits_for_time())
    @rule(index=WORKERS)
    def look_for_what_is_due(self, index: int) -> None:
        self.look(self.workers[index])

    def waits_for_time(self) -> bool:
        """Whether somebody waits for a token, or for its next attempt."""
        return bool(self.starts) or any(row.status == JobStatus.PENDING for row in self.rows)

    @rule(index=WORKERS)
    def sweep(self, index: int) -> None:
        self.workers[index].store.release_overlooked()

    @invariant()
    def rows_are_right(self) -> None:
        if not hasattr(self, "workers"):
            return
        self.rows = rows = self.left()
        for row in rows:
            assert (row.status == JobStatus.BLOCKED) is (row.blocked_on is not None), ("waits where?", row)
        of_workers = [job for worker in self.workers for job in (*worker.claimed, *worker.running)]
        held = {(job.id, job.attempt) for job in [*of_workers, *self.dead]}
        running = {(row.id, row.attempt) for row in rows if row.status == JobStatus.RUNNING}
        assert running == held, "a place is taken by nobody, or one runs without"
        self._lines_are_right([row for row in rows if row.order_key is not None])

    def _lines_are_right(self, rows: Sequence[Any]) -> None:
        turns = Counter(row.order_key for row in rows if self.has_turn(row))
        assert max(turns.values(), default=0) <= 1, ("two have their turn", turns)
        if self.is_left_to_sweeps:
            return
        waiting = {row.order_key for row in rows if is_in_line(row)}
        # Who has ended the last one is about to look at the line.
        moving = {job.order_key for worker in self.workers for job in worker.ended}
        moving |= {row.order_key for row in rows if not is_in_line(row)}
        assert waiting <= moving, ("nobody has its turn", waiting - moving)

    def teardown(self) -> None:
        if not hasattr(self, "workers"):
            return
        try:
            # What a step has found is told, and not what comes of it.
            if sys.exc_info()[0] is None:
                self._let_all_end()
        finally:
            self.end_life()

    def _let_all_end(self) -> None:
        """From wherever it has got to, everything ends, and without sweeps where nobody left things to them."""
        if self.number < 2:
            self._edit_limit(2)  # Each fits into it.
        if self.is_paused:
            self._pause_rate(False)
        if self.dead:
            self.rescue(0, dies=False)
            self.rows_are_right()
        if self.is_left_to_sweeps:
            for _ in range(2):
                self.sweep(0)
        for turn in range(SETTLING_ROUNDS):
            for worker in self.workers:
                self._let_others_in(worker)
            self.rows_are_right()
            if not self.rows:
                return
            self.let_hours_pass(BURST)
            self.look_for_what_is_due(turn % 2)
            self.claim(turn % 2, 20)
            for index, worker in enumerate(self.workers):
                self._admit(worker)
                while worker.running:
                    self.end(index, 0, Completed, looks=False)
        left = [(row.id, row.status, row.blocked_on) for row in self.left()]
        raise AssertionError(f"these never ended: {left}")

    def _executing(self) -> dict[str | None, int]:
        found: dict[str | None, int] = {}
        for job in [*self.workers[0].running, *self.workers[1].running, *self.zombies]:
            if job.concurrency_key is not None:
                found[job.concurrency_key] = found.get(job.concurrency_key, 0) + job.cost
        return found


def is_in_line(row: Any) -> bool:
    """Whether the row waits for its turn."""
    return row.blocked_on is not None and row.blocked_on.startswith(LINE_PREFIX)


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
