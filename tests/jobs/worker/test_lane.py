"""What lanes want: slow jobs are not hoarded, and less is claimed ahead while products share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.worker.holdings import HeldJob
from pleme_redis_django.jobs.worker.lane import SHARED_PREFETCH_SECONDS, LaneFeed
from pleme_redis_django.jobs.worker.pace import PREFETCH_SECONDS
from tests.jobs.pool_bench import DEADLINE_SECONDS, Bench
from tests.jobs.recording import FunctionExecutor, claimed, held
from tests.jobs.worker.lane_bench import Bench as LaneBench
from tests.waiting import wait_until


def test_slow_jobs_are_not_hoarded(bench: Bench) -> None:
    gate = threading.Event()
    bench.add(20)
    try:
        bench.pool(FunctionExecutor(lambda job: gate.wait(DEADLINE_SECONDS)), worker_count=2).launch()
        wait_until(lambda: bench.statuses().count(JobStatus.RUNNING) == 2)
        bench.hints.nudge()
        assert bench.store.count_claimable_jobs() == 18
    finally:
        gate.set()
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 20)


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LaneFeed, list[float], list[HeldJob]]]:
    """A feed of a fair pool, how far it reaches each time that it is asked, and a job each of two products."""
    bench = LaneBench(is_async=False, slots=1)
    feed = LaneFeed(bench.lane, 0.0, fair=True)
    seconds: list[float] = []

    def prefetch(reach_seconds: float) -> int:
        seconds.append(reach_seconds)
        return 0

    monkeypatch.setattr(feed._pace, "prefetch", prefetch)
    yield feed, seconds, [held(claimed(bench.store, product=product)) for product in ("a", "b")]
    bench.gate.set()
    bench.lane.stop()


def test_a_lane_reaches_less_far_once_products_share_its_claims(
    reached: tuple[LaneFeed, list[float], list[HeldJob]],
) -> None:
    feed, seconds, both = reached
    feed.wanted()
    feed.submit(both[:1])
    assert seconds[-1] == PREFETCH_SECONDS
    feed.wanted()
    feed._asked_at = time.monotonic() + 60  # However busy the machine is, the claim took no time.
    feed.submit(both)
    assert seconds[-1] == SHARED_PREFETCH_SECONDS


def test_a_lane_reaches_further_than_a_slow_claim_takes(
    reached: tuple[LaneFeed, list[float], list[HeldJob]],
) -> None:
    """Else it would run out of jobs while it waits for others, and claim fewer the fewer it ran."""
    feed, seconds, both = reached
    feed._asked_at = time.monotonic() - 60
    feed.submit(both)
    assert seconds[-1] == PREFETCH_SECONDS


@pytest.mark.parametrize(
    ("slots", "prefetch", "wanted"), [(5, 60, 65), (5, 120, 100), (5, 460, 450), (5, 900, 500), (130, 0, 130)]
)
def test_large_claims_come_in_few_sizes_and_leave_no_slot_free(
    monkeypatch: pytest.MonkeyPatch, slots: int, prefetch: int, wanted: int
) -> None:
    feed = LaneFeed(LaneBench(is_async=False, slots=slots).lane, 0.0)
    monkeypatch.setattr(feed._pace, "prefetch", lambda _reach_seconds: prefetch)
    assert feed.wanted() == wanted
