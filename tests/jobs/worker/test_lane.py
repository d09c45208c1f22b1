"""What lanes want: slow jobs are not hoarded, and less is claimed ahead while products share."""

from __future__ import annotations

import threading

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.worker.lane import LaneFeed
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


def test_a_lane_reaches_less_far_once_products_share_its_claims() -> None:
    bench = LaneBench(is_async=False, slots=1)
    feed = LaneFeed(bench.lane, 0.0, fair=True)
    reached: list[bool] = []

    def prefetch(*, shared: bool) -> int:
        reached.append(shared)
        return 0

    feed._pace.prefetch = prefetch  # type: ignore[method-assign]
    one, other = (held(claimed(bench.store, product=product)) for product in ("a", "b"))
    feed.submit([one])
    assert reached[-1] is False
    feed.submit([one, other])
    assert reached[-1] is True
    bench.gate.set()
    bench.lane.stop()
