"""What lanes want: slow jobs are not hoarded, and less is claimed ahead while products share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.fair_shares import SHARE
from pleme_redis_django.jobs.interface.hints import ANY_TYPE
from pleme_redis_django.jobs.worker import lane
from pleme_redis_django.jobs.worker.holdings import HeldJob
from pleme_redis_django.jobs.worker.lane import (
    COMING_MAX_CLAIM,
    FAIR_MAX_CLAIM,
    SHARED_PREFETCH_SECONDS,
    LaneDemand,
    LaneFeed,
)
from pleme_redis_django.jobs.worker.pace import PREFETCH_SECONDS
from pleme_redis_django.testing import MemoryJobStore
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


def test_a_product_that_had_none_goes_before_what_waits() -> None:
    bench = LaneBench(is_async=False, slots=1)
    feed = LaneFeed(bench.lane, 0.0, fair=True)
    big = [held(claimed(bench.store, product="big")) for _ in range(4)]
    small, more = held(claimed(bench.store, product="small")), held(claimed(bench.store, product="big"))
    feed.submit(big)
    wait_until(lambda: bench.running == [big[0].job.id], "the first one runs")
    feed.hear_of({"small"})
    feed.submit([small, more])
    bench.gate.set()
    wait_until(lambda: len(bench.running) == 6, "all have run")
    bench.lane.stop()
    assert bench.running == [one.job.id for one in (big[0], small, *big[1:], more)]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[LaneFeed]:
    """A feed of a fair pool whose lane starts 10 jobs before a claim would be back, and has 7 that wait."""
    bench = LaneBench(is_async=False, slots=1)
    feed = LaneFeed(bench.lane, 0.0, fair=True)
    monkeypatch.setattr(feed._pace, "prefetch", lambda reach_seconds: 10)
    bench.submit(8)
    wait_until(lambda: len(bench.running) == 1, "the first one runs")
    yield feed
    bench.gate.set()
    bench.lane.stop()


def test_a_full_lane_wants_a_share_of_each_product_that_had_none(full: LaneFeed) -> None:
    assert full.wanted() == 0
    assert full.wanted_of_newcomers() == 0
    full.hear_of({"small"})
    assert full.wanted_of_newcomers() == SHARE
    full.hear_of({"a", "b", "c"})
    assert full.wanted_of_newcomers() == 10, "no more than start before long"
    full.submit([])
    assert full.wanted_of_newcomers() == 0, "a claim was made, and others have taken them"


def test_what_is_for_other_lanes_is_not_looked_for(full: LaneFeed) -> None:
    full.hear_of({"small"})
    full.dry = True
    assert full.wanted_of_newcomers() == 0
    full.dry = False
    assert full.wanted_of_newcomers() == 0


def test_a_product_that_comes_while_there_is_no_room_is_not_forgotten(full: LaneFeed) -> None:
    """Its hint has gone, and until the lane had room its job would wait, and then behind all that waits there."""
    big = [held(claimed(MemoryJobStore(), product="big")) for _ in range(20)]
    full.submit(big)
    full.hear_of({"small"})
    assert full.wanted_of_newcomers() == 0
    full.lane.take_waiting()
    assert full.wanted_of_newcomers() == SHARE
    full.lane.submit(big)
    small = held(claimed(MemoryJobStore(), product="small"))
    full.submit([small])
    assert full.lane.take_waiting() == [small, *big]


def test_how_far_claims_reach_does_not_decide_whether_there_is_room(
    full: LaneFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They reach less far once products share, and what waits then was claimed before."""
    reached = {PREFETCH_SECONDS: 100, SHARED_PREFETCH_SECONDS: 10}
    monkeypatch.setattr(full._pace, "prefetch", reached.__getitem__)
    monkeypatch.setattr(full, "_reach_seconds", lambda: SHARED_PREFETCH_SECONDS)
    full.lane.submit([held(claimed(MemoryJobStore())) for _ in range(40)])
    full.hear_of({"small"})
    assert full.wanted_of_newcomers() == SHARE


def test_claims_are_small_while_products_come(full: LaneFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes during one waits for its end."""
    full.lane.take_waiting()
    monkeypatch.setattr(full._pace, "prefetch", lambda _reach_seconds: 500)
    assert full.wanted() == FAIR_MAX_CLAIM
    full.hear_of({"small"})
    assert full.wanted() == COMING_MAX_CLAIM
    full.hear_of(())
    full._coming_until = time.monotonic()
    assert full.wanted() == FAIR_MAX_CLAIM


def test_products_that_come_again_and_again_do_not_have_a_lane_hoard(full: LaneFeed) -> None:
    """Each time the claim is filled up with jobs of others, whatever the lane's pace is."""
    claims = 0
    full.hear_of({"small"})
    while count := full.wanted_of_newcomers():
        full.submit([held(claimed(MemoryJobStore())) for _ in range(count)])
        full.hear_of({"small"})
        claims += 1
        assert claims < 10
    assert full.lane.unfinished() == 1 + 2 * 10, (
        "its slots, and twice what it starts while a claim is under way"
    )


def test_a_lane_of_long_jobs_leaves_them_to_others(full: LaneFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full._pace, "prefetch", lambda reach_seconds: 0)
    full.hear_of({"small"})
    assert full.wanted_of_newcomers() == 0


@pytest.fixture
def both() -> Iterator[LaneDemand]:
    """A lane of threads and one of a loop, for which nothing is ready."""
    benches = [LaneBench(is_async=is_async, slots=1) for is_async in (False, True)]
    for bench, job_type in zip(benches, ("sync", "async"), strict=True):
        bench.lane.job_types = frozenset({job_type})
    demand = LaneDemand([bench.lane for bench in benches], fair=True)
    demand.run_dry(None)
    yield demand
    for bench in benches:
        bench.lane.stop()


@pytest.mark.parametrize(
    ("job_types", "left"),
    [
        ({"sync"}, [False, True]),
        ({"async"}, [True, False]),
        ({"sync", "async"}, [False, False]),
        ({ANY_TYPE}, [False, False]),
        ({"of another pool"}, [False, False]),
        ((), [False, False]),
    ],
)
def test_a_hint_is_for_the_lane_of_its_type(both: LaneDemand, job_types: set[str], left: list[bool]) -> None:
    both.expect_work(job_types)
    assert [feed.dry for feed in both] == left


def test_a_lane_that_nothing_was_said_of_for_long_looks_again(
    both: LaneDemand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "TRUSTED_DRY_SECONDS", -1.0)
    both.expect_work({"sync"})
    assert [feed.dry for feed in both] == [False, False]


def test_what_is_left_is_named_by_a_type_of_each_lane(both: LaneDemand) -> None:
    assert set(both.types_left()) == set()
    both.expect_work({"sync"})
    assert set(both.types_left()) == {"sync"}
    both.expect_work()
    assert set(both.types_left()) == {ANY_TYPE}


def test_a_dry_lane_is_asked_for_again_when_its_store_reads_on() -> None:
    bench = LaneBench(is_async=False, slots=1)
    demand = LaneDemand([bench.lane])
    (feed,) = demand
    feed.run_dry(None)
    assert feed.dry and demand.again_in() == float("inf")
    feed.run_dry(3600.0)
    assert feed.dry and 3500 < demand.again_in() <= 3600
    feed.run_dry(0.0)
    assert not feed.dry and feed.wanted() and demand.again_in() == float("inf")
    bench.gate.set()
    bench.lane.stop()
