"""Rates through the store: what is claimed starts with a token, and what waits for one is looked at in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import FlowGate, FlowLimit, Job, JobStatus
from pleme_redis_django.operations import reset_limit, set_limit
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.dialects import portable_tokens
from pleme_redis_django.orm_store.dialects.postgresql import flow_tokens
from pleme_redis_django.orm_store.flow import control
from tests.orm_store.claimed_jobs import completed
from tests.orm_store.flow import jobs
from tests.rows import BACKENDS, make_job

pytestmark = pytest.mark.django_db(transaction=True, databases=BACKENDS)

ALL = JobSelection()
AN_HOUR = 3600.0


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, settings: Any) -> OrmJobStore[Job]:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DATABASE": request.param}
    return OrmJobStore(Job, using=request.param)


def limited(store: OrmJobStore[Job], **numbers: Any) -> None:
    set_limit(
        "key", "stripe", **({"rate": 1, "per_seconds": AN_HOUR, "burst": 2} | numbers), using=store.using
    )


def add(store: OrmJobStore[Job], count: int, **fields: Any) -> list[Job]:
    return [make_job(store.using, **({"concurrency_key": "stripe"} | fields)) for _ in range(count)]


def claim(store: OrmJobStore[Job], limit: int = 100) -> list[Job]:
    return list(store.claim_jobs(str(uuid4()), limit, ALL))


def count(store: OrmJobStore[Job], status: JobStatus) -> int:
    return Job.objects.using(store.using).filter(status=status).count()


def end(store: OrmJobStore[Job], jobs: list[Job]) -> None:
    assert all(store.finish_jobs([completed(job) for job in jobs]))
    store.release_after(jobs)


def an_hour_passes(store: OrmJobStore[Job], hours: float = 1) -> None:
    passed = timedelta(seconds=hours * AN_HOUR)
    gates = FlowGate.objects.using(store.using)
    gates.update(full_again_at=F("full_again_at") - passed, let_at=F("let_at") - passed)
    gates.filter(release_at__isnull=False).update(release_at=F("release_at") - passed)


def test_burst_starts_and_the_others_wait_beside_those_without_a_rate(store: OrmJobStore[Job]) -> None:
    limited(store)
    add(store, 5)
    add(store, 3, concurrency_key=None)
    assert len(claim(store)) == 5
    assert count(store, JobStatus.BLOCKED) == 3
    assert claim(store) == []


def test_store_says_when_the_next_token_is_there(store: OrmJobStore[Job]) -> None:
    limited(store)
    add(store, 5)
    claim(store)
    assert store.look_again_in(ALL) == 0.0
    outlook = store.look_ahead(ALL)
    assert outlook.due_in_seconds == pytest.approx(AN_HOUR, abs=60)
    assert store.look_again_in(ALL) != 0.0, "no look is due for it any more"


def test_another_process_learns_of_the_waiting_ones(store: OrmJobStore[Job]) -> None:
    limited(store)
    add(store, 5)
    claim(store)
    other = OrmJobStore(Job, using=store.using)
    assert list(other.claim_jobs(str(uuid4()), 5, ALL)) == []
    assert other.look_again_in(ALL) == 0.0
    assert other.look_ahead(ALL).due_in_seconds is not None


def test_waiting_ones_start_as_tokens_come_back(store: OrmJobStore[Job]) -> None:
    limited(store)
    jobs = add(store, 5)
    started = [job.id for job in claim(store)]
    for _ in range(3):
        an_hour_passes(store)
        assert store.promote_due_jobs(100) == 1
        started += [job.id for job in claim(store)]
    assert started == [job.id for job in jobs]
    assert store.look_ahead(ALL).due_in_seconds is None


def test_ending_gives_no_token_back(store: OrmJobStore[Job]) -> None:
    limited(store, max_running=5)
    add(store, 9)
    running = claim(store)
    end(store, running)
    assert claim(store) == []
    assert count(store, JobStatus.BLOCKED) == 7


def test_rate_and_limit_hold_together(store: OrmJobStore[Job]) -> None:
    limited(store, max_running=2, rate=1, burst=3)
    add(store, 9)
    running = claim(store)
    assert len(running) == 2, "two places"
    end(store, running)
    (third,) = claim(store)
    end(store, [third])
    assert claim(store) == [], "three tokens"
    an_hour_passes(store, 2)
    store.promote_due_jobs(100)
    assert len(claim(store)) == 2


def test_job_that_waits_for_a_token_leaves_its_place_to_another(store: OrmJobStore[Job]) -> None:
    """Two limits on one job: the token of its key is out, and the place of its type is another's."""
    limited(store, burst=1)
    set_limit("type", "tests.noop", max_running=2, using=store.using)
    add(store, 4)
    add(store, 4, concurrency_key=None)
    started = claim(store)
    started += claim(store)
    assert len(started) == 2
    assert [job.concurrency_key for job in started] == ["stripe", None]


def test_pause_and_its_end(store: OrmJobStore[Job]) -> None:
    limited(store, rate=0)
    add(store, 2)
    assert claim(store) == []
    assert store.look_ahead(ALL).due_in_seconds is None
    limited(store, rate=1)
    assert len(claim(OrmJobStore(Job, using=store.using))) == 2, "those who wait go on with the edit itself"


def test_limit_that_ends_lets_everybody_go_on(store: OrmJobStore[Job]) -> None:
    limited(store, burst=1)
    add(store, 4)
    assert len(claim(store)) == 1
    assert reset_limit("key", "stripe", using=store.using)
    assert not FlowLimit.objects.using(store.using).exists()
    store.release_overlooked(at_once=True)
    assert len(claim(store)) == 3


@pytest.fixture
def few_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look lets few through: the long backlogs of a test are short."""
    monkeypatch.setattr(control, "LET_ROWS", 5)
    monkeypatch.setattr(flow_tokens, "LET_ROWS", 5)
    monkeypatch.setattr(portable_tokens, "_EVERYBODY", 5)


@pytest.mark.usefixtures("few_a_look")
def test_rate_that_ends_lets_a_long_backlog_go_on(store: OrmJobStore[Job]) -> None:
    limited(store, burst=1, max_running=100)
    add(store, 20)
    assert len(claim(store)) == 1
    set_limit("key", "stripe", rate=None, using=store.using)
    assert len(claim(store)) == 19


@pytest.mark.usefixtures("few_a_look")
def test_look_at_a_large_burst_goes_on_at_the_next_one(store: OrmJobStore[Job]) -> None:
    limited(store, rate=20, burst=20)
    add(store, 40)
    assert len(claim(store)) == 20
    an_hour_passes(store)
    looks = [store.promote_due_jobs(100)]
    while (due_in := store.look_ahead(ALL).due_in_seconds) is not None and due_in <= 0:
        looks.append(store.promote_due_jobs(100))
    assert sum(looks) == 20, looks


def test_head_of_an_order_that_waits_for_a_token_keeps_its_turn(store: OrmJobStore[Job]) -> None:
    limited(store, burst=1)
    jobs.step.using(concurrency_key="stripe", order_key="a").enqueue_many([{"number": 0}, {"number": 1}])
    (first,) = claim(store)
    end(store, [first])
    assert claim(store) == []
    waits = Job.objects.using(store.using).get(status=JobStatus.BLOCKED)
    assert waits.blocked_on == "r:k:default:stripe"
    jobs.step.using(order_key="a", priority=9).enqueue(number=2)
    assert claim(store) == []
    an_hour_passes(store)
    store.promote_due_jobs(100)
    (second,) = claim(store)
    assert second.id == waits.id


@pytest.mark.parametrize("at_once", [False, True])
def test_who_goes_on_as_a_rate_has_gone_is_told_by_its_queue(store: OrmJobStore[Job], at_once: bool) -> None:
    limited(store, burst=1)
    add(store, 2, queue_name="mail")
    assert len(claim(store)) == 1
    FlowLimit.objects.using(store.using).all().delete()
    released = list(store.release_overlooked(at_once=at_once))
    assert [released, list(store.released_besides())] == ([["mail"], []] if at_once else [[], ["mail"]])


def test_gate_that_was_forgotten_is_swept(store: OrmJobStore[Job]) -> None:
    limited(store)
    add(store, 4)
    claim(store)
    FlowGate.objects.using(store.using).update(
        release_at=None, full_again_at=Now() - timedelta(hours=1), let_at=None
    )
    assert store.release_overlooked() == ["default", "default"]
    assert len(claim(store)) == 2


def test_long_backlog_of_a_rate_is_parked_at_once_and_what_is_behind_it_starts(
    store: OrmJobStore[Job],
) -> None:
    limited(store)
    new = [Job(product="default", job_type="tests.noop", concurrency_key="stripe") for _ in range(400)]
    Job.objects.using(store.using).bulk_create(new)
    add(store, 3, concurrency_key=None)
    started = claim(store, 5)
    assert [job.concurrency_key for job in started] == ["stripe", "stripe", None, None, None]
    assert count(store, JobStatus.BLOCKED) == 398
    an_hour_passes(store)
    assert store.promote_due_jobs(100) == 1
    assert len(claim(store)) == 1


def test_process_that_comes_second_to_a_gate_looks_again_soon(store: OrmJobStore[Job]) -> None:
    """Left to others for a second or two, tokens would be lost where the others are busy."""
    limited(store, rate=2, per_seconds=1.0, burst=1)
    add(store, 3)
    claim(store)
    FlowGate.objects.using(store.using).update(release_at=Now() + timedelta(milliseconds=500))
    assert store.promote_due_jobs(100) == 1
    FlowGate.objects.using(store.using).update(release_at=Now() + timedelta(hours=1))
    assert store.promote_due_jobs(100) == 0
