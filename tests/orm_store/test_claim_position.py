"""ClaimPosition: when claims start behind what was claimed before, and when they look from the head again."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from pleme_redis_django import JobStatus, WorkerPool, WorkerPoolConfig
from pleme_redis_django.jobs.interface.endings import Completed, GivenBack
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job, new_job_id
from pleme_redis_django.orm_store import OrmJobStore, claim_position
from pleme_redis_django.orm_store.claim_position import SLOW_CLAIMS, ClaimedUpTo, ClaimPosition
from tests.jobs.recording import FunctionExecutor
from tests.orm_store.claimed_jobs import completed
from tests.orm_store.conftest import Clock
from tests.rows import make_job

SLOW_SECONDS = 0.1
QUICK_SECONDS = 0.001


def job(priority: int = 0) -> Job:
    return Job(id=new_job_id(), priority=priority, run_after=datetime(2030, 1, 1, tzinfo=UTC))


def slow_claims(position: ClaimPosition, count: int = SLOW_CLAIMS) -> Job:
    for _ in range(count):
        last = job()
        position.claimed_from_start([job(), last], SLOW_SECONDS)
    return last


def test_the_first_claim_starts_at_the_head(clock: Clock) -> None:
    assert ClaimPosition(clock).claimed_up_to() is None


def test_quick_claims_start_at_the_head(clock: Clock) -> None:
    position = ClaimPosition(clock)
    for _ in range(10):
        position.claimed_from_start([job()], QUICK_SECONDS)
        assert position.claimed_up_to() is None


def test_a_busy_machine_alone_changes_nothing(clock: Clock) -> None:
    position = ClaimPosition(clock)
    for _ in range(10):
        slow_claims(position, SLOW_CLAIMS - 1)
        position.claimed_from_start([job()], QUICK_SECONDS)
    assert position.claimed_up_to() is None


def test_after_slow_claims_the_next_starts_behind_the_last(clock: Clock) -> None:
    position = ClaimPosition(clock)
    last = slow_claims(position)
    assert position.claimed_up_to() == ClaimedUpTo(last.priority, last.run_after, last.id)
    further = job(priority=-5)
    position.claimed_behind([further], QUICK_SECONDS)
    assert position.claimed_up_to() == ClaimedUpTo(-5, further.run_after, further.id)


def test_a_large_claim_may_take_its_time(clock: Clock) -> None:
    position = ClaimPosition(clock)
    for _ in range(10):
        position.claimed_from_start([job()] * 500, 0.015)
    assert position.claimed_up_to() is None


def test_the_head_is_looked_at_again_after_twenty_times_what_it_cost(clock: Clock) -> None:
    position = ClaimPosition(clock)
    slow_claims(position)
    clock.now += 19 * SLOW_SECONDS
    assert position.claimed_up_to() is not None
    clock.now += 2 * SLOW_SECONDS
    assert position.claimed_up_to() is None


@pytest.mark.parametrize("lets_in", [False, True])
def test_the_head_never_waits_longer_than_its_limit(clock: Clock, lets_in: bool) -> None:
    most = claim_position.MAX_SECONDS_WITHOUT_HEAD if lets_in else claim_position.MAX_SECONDS_WITH_NONE_LET_IN
    position = ClaimPosition(clock, lets_in=lambda: lets_in)
    position.claimed_from_start([job()], 60.0)
    clock.now += most - 0.1
    assert position.claimed_up_to() is not None
    clock.now += 0.2
    assert position.claimed_up_to() is None


def test_one_claim_that_no_busy_machine_explains_is_enough(clock: Clock) -> None:
    position = ClaimPosition(clock)
    position.claimed_from_start([job()], claim_position.SURELY_SLOW_SECONDS + 0.01)
    assert position.claimed_up_to() is not None


def test_other_pauses_begin_at_the_head(clock: Clock) -> None:
    position = ClaimPosition(clock)
    slow_claims(position)
    assert position.claimed_up_to() is not None
    assert position.claimed_up_to("other pauses") is None


def test_higher_priorities_are_looked_for_from_where_the_claims_had_come_at_the_last_such_look(
    clock: Clock,
) -> None:
    position = ClaimPosition(clock)
    earlier = slow_claims(position)
    since = earlier.run_after - timedelta(seconds=claim_position.COMMIT_SECONDS)
    assert position.higher_since() == since
    further = job()
    further.run_after += timedelta(minutes=5)
    position.claimed_behind([further], QUICK_SECONDS)
    assert position.higher_since() == since
    # There may be more of them.
    position.claimed_higher([job(priority=5)], QUICK_SECONDS)
    assert position.higher_since() == since
    position.claimed_higher([], QUICK_SECONDS)
    assert position.higher_since() is None
    clock.now += claim_position.SECONDS_WITHOUT_HIGHER
    assert position.higher_since() == since + timedelta(minutes=5)
    position.claimed_higher([], SLOW_SECONDS)
    clock.now += SLOW_SECONDS / claim_position.HEAD_SHARE - 0.1
    assert position.higher_since() is None


def test_a_head_that_is_still_slow_is_left_again_at_once(clock: Clock) -> None:
    position = ClaimPosition(clock)
    slow_claims(position)
    clock.now += 100
    slow_claims(position, 1)
    assert position.claimed_up_to() is not None


def test_a_head_that_is_quick_again_ends_it(clock: Clock) -> None:
    position = ClaimPosition(clock)
    slow_claims(position)
    clock.now += 100
    position.claimed_from_start([job()], QUICK_SECONDS)
    assert position.claimed_up_to() is None


def test_a_far_database_makes_no_claim_slow(clock: Clock) -> None:
    measured: list[float] = []

    def measure() -> float:
        measured.append(SLOW_SECONDS / 3)
        return measured[-1]

    position = ClaimPosition(clock, measure)
    slow_claims(position, 20)
    assert position.claimed_up_to() is None
    assert len(measured) == 1
    for _ in range(SLOW_CLAIMS):
        position.claimed_from_start([job()], 2 * SLOW_SECONDS)
    assert position.claimed_up_to() is not None


def test_a_place_with_nothing_but_a_backlog_behind_it_is_left(clock: Clock) -> None:
    position = ClaimPosition(clock)
    slow_claims(position)
    position.claimed_behind([], QUICK_SECONDS)
    assert position.claimed_up_to() is not None
    position.claimed_behind([], SLOW_SECONDS)
    assert position.claimed_up_to() is None
    assert position.is_head_slow()


@pytest.mark.django_db
@pytest.mark.usefixtures("every_claim_is_slow")
def test_claims_that_start_behind_the_last_miss_no_job() -> None:
    store = OrmJobStore(Job)
    jobs = [make_job("default", priority=priority) for priority in (5, 5, 5, 5, 5, 0, 0)]
    assert claims_of(store, 4) == [job.id for job in jobs[:4]]
    # Before the place in claim order: the next claims find it only once nothing is left behind it.
    urgent = make_job("default", priority=50)
    assert claims_of(store, 1) == [jobs[4].id]
    assert claims_of(store, 3) == [urgent.id, jobs[5].id, jobs[6].id]
    assert claims_of(store, 1) == []


@pytest.mark.django_db
@pytest.mark.usefixtures("every_claim_is_slow")
def test_a_job_of_a_higher_priority_does_not_wait_for_the_next_look_from_the_head() -> None:
    store = OrmJobStore(Job)
    jobs = [make_job("default", priority=priority) for priority in (5,) * 8]
    assert claims_of(store, 4) == [job.id for job in jobs[:4]]
    urgent = make_job("default", priority=50)
    assert claims_of(store, 1) == [jobs[4].id]
    store._positions[JobSelection()]._higher_at = 0.0  # The next look for such jobs is due.
    assert claims_of(store, 2) == [urgent.id, jobs[5].id]


@pytest.mark.django_db
@pytest.mark.usefixtures("every_claim_is_slow")
def test_a_job_that_is_given_back_does_not_wait_for_the_next_look_from_the_head() -> None:
    store = OrmJobStore(Job)
    jobs = [make_job("default", priority=5) for _ in range(SLOW_CLAIMS + 3)]
    claimed = [store.claim_jobs(str(uuid4()), 1, JobSelection())[0] for _ in range(SLOW_CLAIMS + 1)]
    later = GivenBack(job_id=claimed[1].id, claim=claimed[1].claim, delay_seconds=60.0)
    assert store.finish_jobs([completed(claimed[2]), later]) == [True, True]
    assert store.look_again_in(JobSelection()) is None, "nothing has become ready"
    assert store.finish_jobs([GivenBack(job_id=claimed[0].id, claim=claimed[0].claim)]) == [True]
    assert claims_of(store, 2) == [jobs[0].id, jobs[SLOW_CLAIMS + 1].id]
    assert store._positions[JobSelection()].is_head_slow(), "one slow look is enough to keep from it again"


@pytest.mark.django_db
@pytest.mark.usefixtures("every_claim_is_slow")
def test_a_claim_across_a_boundary_of_priorities_is_not_short() -> None:
    """A short claim says that nothing is ready: a worker then waits for a hint, and a burst ends."""
    store = OrmJobStore(Job)
    jobs = [make_job("default", priority=priority) for priority in (5,) * 5 + (0,) * 5]
    assert claims_of(store, 4) == [job.id for job in jobs[:4]]
    urgent = make_job("default", priority=50)
    claimed = store.claim_jobs(str(uuid4()), 3, JobSelection())
    assert [job.id for job in claimed] == [urgent.id, jobs[4].id, jobs[5].id]
    assert len(store.claim_jobs(str(uuid4()), 10, JobSelection())) == 4


@pytest.mark.django_db
@pytest.mark.usefixtures("every_claim_is_slow")
def test_a_burst_ends_when_no_job_of_any_priority_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    # It ends with a look at everything.
    monkeypatch.setattr(claim_position, "MAX_SECONDS_WITH_NONE_LET_IN", 0.5)
    for priority, count in ((10, 23), (0, 300)):
        Job.objects.bulk_create(
            Job(product="default", job_type="tests.noop", priority=priority) for _ in range(count)
        )
    store = OrmJobStore(Job)
    # Turned by hand, in this thread alone: the connections of engine threads end with their process.
    pool = WorkerPool(WorkerPoolConfig(worker_count=4), None, FunctionExecutor(print), store, burst=True)
    while not pool._parts.claimer.dry.is_set():
        pool._parts.claimer.turn()
        taken = [held for lane in pool._parts.lanes for held in lane.take_waiting()]
        store.finish_jobs([Completed(job_id=one.job.id, claim=one.claim) for one in taken])
        pool._parts.holdings.remove(taken)
    assert Job.objects.exclude(status=JobStatus.COMPLETED).count() == 0


@pytest.mark.django_db
@pytest.mark.usefixtures("every_claim_is_slow")
def test_jobs_that_are_due_at_the_same_moment_are_told_apart_by_id() -> None:
    store = OrmJobStore(Job)
    due = datetime(2026, 1, 1, tzinfo=UTC)
    jobs = [make_job("default", run_after=due) for _ in range(8)]
    assert claims_of(store, 8) == [job.id for job in jobs]


@pytest.mark.django_db
@pytest.mark.usefixtures("every_claim_is_slow")
def test_each_selection_has_a_position_of_its_own() -> None:
    store = OrmJobStore(Job)
    emails, reports = (
        [make_job("default", queue_name=name) for _ in range(5)] for name in ("email", "report")
    )
    email, report = (JobSelection(queue_names=(name,)) for name in ("email", "report"))
    for place in range(5):
        assert claims_of(store, 1, email) == [emails[place].id]
        assert claims_of(store, 1, report) == [reports[place].id]


def claims_of(store: OrmJobStore[Job], count: int, selection: JobSelection | None = None) -> list[object]:
    """Claim one job at a time; return the ids of what was claimed."""
    claimed = (store.claim_jobs(str(uuid4()), 1, selection or JobSelection()) for _ in range(count))
    return [job.id for job in itertools.chain.from_iterable(claimed)]
