"""Retention: a batch at a time, the next one soon, and one word at the end of a walk."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.jobs.interface.events import JobsPruned
from pleme_redis_django.jobs.interface.store import Pruned
from pleme_redis_django.jobs.maintenance.retention import BATCH_ROWS, RETENTION, Retention


class Recording:
    """A store, a maintainer and a sink that note what they were told."""

    def __init__(self, *batches: Pruned) -> None:
        self.batches = list(batches)
        self.limits: list[int] = []
        self.soon: list[str] = []
        self.events: list[Any] = []

    def prune_jobs(self, limit: int) -> Pruned:
        self.limits.append(limit)
        return self.batches.pop(0)

    def do_in(self, seconds: float, name: str) -> None:
        assert seconds > 0
        self.soon.append(name)

    def emit(self, event: Any) -> None:
        self.events.append(event)


def turned(*batches: Pruned) -> Recording:
    seen: Any = Recording(*batches)
    retention = Retention(seen, seen, seen)
    for _ in batches:
        retention.turn()
    assert set(seen.limits) == {BATCH_ROWS}
    return seen


def test_a_walk_is_one_batch_a_turn_and_is_told_once() -> None:
    seen = turned(Pruned(deleted=1_000, is_done=False), Pruned(deleted=10, kept=2, is_done=False), Pruned())
    assert seen.soon == [RETENTION, RETENTION]
    assert seen.events == [JobsPruned(1_010, 2)]


def test_a_walk_that_deleted_nothing_is_not_told() -> None:
    assert turned(Pruned(is_done=False), Pruned()).events == []


def test_the_next_walk_counts_anew() -> None:
    one = Pruned(deleted=1, is_done=False)
    assert turned(one, Pruned(), one, Pruned()).events == [JobsPruned(1, 0)] * 2


@pytest.mark.parametrize("failing", [0, 1])
def test_a_batch_that_fails_loses_no_count(failing: int) -> None:
    seen: Any = Recording(Pruned(deleted=5, is_done=False), Pruned(deleted=5, is_done=False), Pruned())
    retention, real = Retention(seen, seen, seen), seen.prune_jobs

    def fails(limit: int) -> Pruned:
        raise ConnectionError

    for turn in range(4):
        seen.prune_jobs = fails if turn == failing else real
        if turn == failing:
            with pytest.raises(ConnectionError):
                retention.turn()
        else:
            retention.turn()
    assert seen.events == [JobsPruned(10, 0)]
