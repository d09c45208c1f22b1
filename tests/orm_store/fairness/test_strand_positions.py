"""StrandPositions: fair claims that start each product behind what was claimed of it miss no job."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from pleme_redis_django.jobs.interface.fair_shares import Share, Strand
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job, new_job_id
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.claim_position import MAX_SECONDS_WITHOUT_HEAD, SLOW_CLAIMS
from pleme_redis_django.orm_store.fairness.index import FairIndex
from pleme_redis_django.orm_store.fairness.strand_positions import MOST_STRANDS, StrandPositions
from tests.orm_store.conftest import Clock
from tests.rows import ago, make_job

FAIR = JobSelection(fair=True)
SLOW_SECONDS, QUICK_SECONDS = 0.1, 0.001


@pytest.fixture
def positions(clock: Clock) -> StrandPositions:
    positions = StrandPositions(clock)
    positions.remember({Strand(name): [job(name)] for name in "ab"})
    return positions


def job(product: str) -> Job:
    return Job(id=new_job_id(), product=product, run_after=None)


def slow_claims(positions: StrandPositions, count: int = SLOW_CLAIMS) -> None:
    for _ in range(count):
        positions.claimed_from_heads(4, SLOW_SECONDS)


def test_quick_claims_start_at_the_heads(positions: StrandPositions) -> None:
    for _ in range(10):
        positions.claimed_from_heads(4, QUICK_SECONDS)
    slow_claims(positions, SLOW_CLAIMS - 1)
    positions.claimed_from_heads(4, QUICK_SECONDS)
    slow_claims(positions, SLOW_CLAIMS - 1)
    assert positions.of(Strand("a")) is None


def test_slow_ones_keep_from_the_heads_for_as_long_as_they_have_cost(
    positions: StrandPositions, clock: Clock
) -> None:
    slow_claims(positions)
    assert positions.of(Strand("a")) is not None
    assert positions.of(Strand("never claimed")) is None
    clock.now += SLOW_SECONDS * 20 + 0.01
    assert positions.of(Strand("a")) is None


def test_the_heads_are_never_left_for_long(positions: StrandPositions, clock: Clock) -> None:
    for _ in range(SLOW_CLAIMS):
        positions.claimed_from_heads(4, 60.0)
    clock.now += MAX_SECONDS_WITHOUT_HEAD + 0.01
    assert positions.of(Strand("a")) is None


def test_shares_with_a_position_are_told_apart(positions: StrandPositions) -> None:
    slow_claims(positions)
    one, other = (Share(strand=Strand(name), jobs=4, start=0.0, stride=1.0) for name in ("a", "c"))
    behind, found = positions.split([other, one])
    assert behind == [one]
    assert len(found) == 1
    positions.forget([Strand("a")])
    assert positions.split([one]) == ([], [])


def test_many_products_keep_no_positions(positions: StrandPositions) -> None:
    positions.remember({Strand(f"p{number}"): [job("p")] for number in range(MOST_STRANDS)})
    slow_claims(positions)
    assert positions.of(Strand("p1")) is None


@pytest.mark.django_db
@pytest.mark.usefixtures("every_claim_is_slow")
def test_every_job_is_claimed_whatever_its_priority_and_due_time() -> None:
    FairIndex(model=Job, using="default", by_queue=False).make()
    store = OrmJobStore(Job)
    for product in ("a", "b", "c"):
        for priority in (9, 9, 9, 9, 9, 9, 5, 5, 5, 0, 0):
            make_job(product=product, priority=priority)
    ids = set(Job.objects.values_list("id", flat=True))
    found: list[Any] = []

    def claim(limit: int) -> list[Job]:
        store.hear_of(FAIR, ["a", "b", "c"])
        jobs = list(store.claim_jobs(str(uuid4()), limit, FAIR))
        found.extend(one.id for one in jobs)
        return jobs

    for _ in range(SLOW_CLAIMS + 1):
        assert len(claim(2)) == 2
    for product, priority, seconds in (("a", 100, 0), ("b", 9, 3_600), ("c", 7, 0)):
        ids.add(make_job(product=product, priority=priority, run_after=ago(seconds)).id)
    while claim(5):
        pass
    assert sorted(found) == sorted(ids)


@pytest.mark.django_db
@pytest.mark.usefixtures("every_claim_is_slow")
def test_a_claim_that_finds_too_little_behind_the_positions_goes_to_the_heads() -> None:
    """A short claim says that nothing is ready: a worker then waits for a hint, and a burst ends."""
    FairIndex(model=Job, using="default", by_queue=False).make()
    store = OrmJobStore(Job)
    for product in ("a", "b"):
        for _ in range(20):
            make_job(product=product, priority=5)
    store.claim_jobs(str(uuid4()), 1, FAIR)
    for _ in range(SLOW_CLAIMS + 1):
        store.hear_of(FAIR, ["a", "b"])
        assert len(store.claim_jobs(str(uuid4()), 4, FAIR)) == 4
    urgent = {make_job(product=product, priority=50).id for product in ("a", "b")}
    left = 2 * 20 - 1 - 4 * (SLOW_CLAIMS + 1)
    jobs = store.claim_jobs(str(uuid4()), left + 2, FAIR)
    assert urgent <= {one.id for one in jobs}
    assert len(jobs) == left + 2


@pytest.mark.django_db
@pytest.mark.usefixtures("every_claim_is_slow")
def test_who_has_just_come_does_not_wait_behind_the_positions_of_others() -> None:
    """What has a position mostly fills a claim: asked after it, a small product would wait for as long as it does."""
    FairIndex(model=Job, using="default", by_queue=False).make()
    store = OrmJobStore(Job)
    for product in ("a", "b"):
        for _ in range(60):
            make_job(product=product)
    store.claim_jobs(str(uuid4()), 1, FAIR)
    for _ in range(SLOW_CLAIMS + 1):
        store.hear_of(FAIR, ["a", "b"])
        store.claim_jobs(str(uuid4()), 4, FAIR)
    small = {make_job(product="small").id for _ in range(2)}
    assert store.hear_of(FAIR, ["small"]) == {"small"}
    jobs = store.claim_jobs(str(uuid4()), 8, FAIR)
    assert len(jobs) == 8
    assert small == {one.id for one in jobs[:2]}


@pytest.mark.django_db
@pytest.mark.usefixtures("every_claim_is_slow")
@pytest.mark.parametrize(
    "fields",
    [{"priority": 5}, {"priority": -5}, {"run_after": ago(3_600)}],
    ids=["a higher priority", "a lower one", "due earlier"],
)
def test_a_product_whose_job_stands_before_its_position_does_not_wait_behind_floods(
    fields: dict[str, Any],
) -> None:
    """Others fill the claim in which it gave too little, so that its head could not be asked."""
    FairIndex(model=Job, using="default", by_queue=False).make()
    store = OrmJobStore(Job)
    for product in ("a", "b"):
        for _ in range(100):
            make_job(product=product)
    store.claim_jobs(str(uuid4()), 1, FAIR)
    make_job(product="small")
    for _ in range(SLOW_CLAIMS + 1):
        store.hear_of(FAIR, ["a", "b", "small"])
        store.claim_jobs(str(uuid4()), 4, FAIR)
    assert not Job.objects.filter(product="small", status="QUEUED").exists()
    urgent = make_job(product="small", **fields)
    store.hear_of(FAIR, ["small"])
    found = [one.id for _ in range(3) for one in store.claim_jobs(str(uuid4()), 16, FAIR)]
    assert urgent.id in found
