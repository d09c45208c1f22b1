"""Hints that are passed on: to another process, when this one is too full for what is ready."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.hints import Hinted
from pleme_redis_django.jobs.worker.hint_relay import HintRelay
from pleme_redis_django.jobs.worker.loop_lane import LoopLane
from tests.jobs.pool_bench import Bench, unlaunched
from tests.jobs.recording import (
    FunctionExecutor,
    MemoryHints,
    TypedExecutor,
)


def test_a_hint_that_comes_back_does_not_go_round(bench: Bench) -> None:
    """The threads are full and have a backlog, the loop is free: the process hears its own nudges."""

    async def handler(job: Any) -> None: ...

    pool = unlaunched(bench, TypedExecutor({"sync": bench.note}, {"async": handler}))
    for _ in range(20):
        bench.store.add("sync")
    for _ in range(100):
        pool._parts.agenda.hint()
        pool._parts.claimer.turn()
    assert bench.statuses().count(JobStatus.RUNNING) == 2
    assert 1 <= bench.hints.nudges < 20
    for lane in pool._parts.lanes:
        if isinstance(lane, LoopLane):
            lane._loop.close()


def test_a_full_process_passes_every_hint_on(bench: Bench) -> None:
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    for _ in range(20):
        bench.store.add()
    for turn in range(1, 6):
        pool._parts.agenda.hint()
        pool._parts.claimer.turn()
        assert bench.hints.nudges == turn


def test_a_hint_of_what_was_taken_is_not_passed_on(bench: Bench) -> None:
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    bench.store.add()
    for _ in range(5):
        pool._parts.agenda.hint()
        pool._parts.claimer.turn()
    assert bench.hints.nudges == 0


def test_what_a_full_process_gives_back_wakes_another(bench: Bench) -> None:
    pool = unlaunched(bench, FunctionExecutor(bench.note))
    for _ in range(3):
        bench.store.add()
    pool._parts.claimer.turn()
    assert bench.hints.nudges == 0
    pool._parts.agenda.due_in(0)
    pool._parts.claimer.turn()
    assert bench.hints.nudges == 1


class NamingHints(MemoryHints):
    """Hints that say of which types and products the jobs are."""

    def __init__(self) -> None:
        super().__init__()
        self.nudged_for: list[tuple[set[str], set[str]]] = []

    def take_named(self) -> frozenset[Hinted]:
        return frozenset()

    def peek_named(self) -> frozenset[Hinted]:
        return frozenset()

    def nudge_for(self, job_types: Collection[str], products: Collection[str]) -> bool:
        self.nudged_for.append((set(job_types), set(products)))
        return True


def test_what_is_passed_on_says_for_which_jobs_it_is() -> None:
    """Else the next process would look for jobs of every type, and say so to the next.

    And if it is of a fair pool, jobs of a product that has just come would wait for its next look at all products.
    """
    hints = NamingHints()
    relay = HintRelay(hints)
    relay.owe({Hinted("small", "a")})
    relay.owe({Hinted("", "b")})
    relay.pass_on_unless_taken(is_dry=False, has_free_slot=False, left=lambda: {"c"})
    relay.owe()
    relay.owe({Hinted("small", "a")})
    relay.pass_on_unless_taken(is_dry=False, has_free_slot=False, left=lambda: {"c"})
    relay.owe({Hinted("big", "a")})
    relay.pass_on_unless_taken(is_dry=True, has_free_slot=False)
    relay.owe({Hinted("", "d")})
    relay.pass_on()
    assert hints.nudged_for == [({"a", "b"}, {"small"}), ({"c"}, {"small"}), ({"d"}, set())]
    assert hints.nudges == 0
