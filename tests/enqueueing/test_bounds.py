"""Deadlines and bounds at enqueue: what is stored, what is refused, and what never starts."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from pleme_redis_django import Job, JobStatus, job
from pleme_redis_django.exceptions import EnqueueError, InvalidJobDefinition
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.monitoring.why_waiting import why_waiting
from pleme_redis_django.operations import retry_jobs
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.testing import drain_jobs
from tests.enqueueing import jobs

pytestmark = pytest.mark.django_db
BOTH = pytest.mark.parametrize("using", ["default", "sqlite"])
BAD_NUMBERS = [-1, 0, float("nan"), float("inf"), 10**12, 10**400, "5", True]


def set_back(seconds: float) -> None:
    """Let time pass for every stored job."""
    fields = ("created_at", "updated_at", "run_after", "expires_at")
    earlier: dict[str, Any] = {name: F(name) - timedelta(seconds=seconds) for name in fields}
    Job.objects.update(**earlier)


def test_bounds_of_the_definition_are_stored() -> None:
    jobs.bounded.enqueue(1)
    stored = Job.objects.get()
    assert stored.timeout_seconds == 5
    assert stored.expires_at - stored.created_at == timedelta(seconds=60)
    assert stored.configuration == {"kill_after": 2, "interrupt": False, "retry_on_timeout": False}


def test_those_of_the_enqueue_win() -> None:
    at = timezone.now() + timedelta(hours=1)
    jobs.bounded.using(timeout=7, kill_after=0, interrupt=True, expires_at=at).enqueue(1)
    stored = Job.objects.get()
    assert (stored.timeout_seconds, stored.expires_at) == (7, at)
    assert stored.configuration == {"kill_after": 0, "interrupt": True, "retry_on_timeout": False}


def test_many_at_once_and_unique_ones_are_bounded_too() -> None:
    jobs.anything.using(deadline=60).enqueue_many([{"n": 1}, {"n": 2}])
    jobs.unique_waiting.using(timeout=3).enqueue(1)
    assert Job.objects.filter(expires_at__gt=Now()).count() == 2
    assert Job.objects.get(timeout_seconds=3).job_type == "tests.enqueueing.jobs.unique_waiting"


def test_without_bounds_nothing_is_stored() -> None:
    jobs.send.enqueue("a@b")
    stored = Job.objects.get()
    assert (stored.timeout_seconds, stored.expires_at, stored.configuration) == (None, None, None)


@pytest.mark.parametrize("name", ["timeout", "kill_after", "deadline"])
@pytest.mark.parametrize("value", BAD_NUMBERS, ids=lambda value: repr(value)[:20])
def test_numbers_out_of_range_are_refused(name: str, value: Any) -> None:
    if (name, value) == ("kill_after", 0) and value is not True and value is not False:
        return  # At once is accepted.
    with pytest.raises(EnqueueError, match=rf"{name} is .*Accepted: a number from"):
        jobs.send.using(**{name: value}).enqueue("a@b")
    with pytest.raises(InvalidJobDefinition, match=rf"{name} is .*Accepted: a number from"):
        definition_of(jobs.send.function, **{name: value})
    assert not Job.objects.exists()


@pytest.mark.parametrize("name", ["interrupt", "retry_on_timeout", "atomic", "isolated"])
def test_what_is_neither_true_nor_false_is_refused(name: str) -> None:
    with pytest.raises(EnqueueError, match=rf"{name} is 1. Accepted: True, False"):
        jobs.send.using(**{name: 1}).enqueue("a@b")


def test_an_expiry_without_a_zone_is_refused() -> None:
    naive = timezone.now().replace(tzinfo=None)
    with pytest.raises(EnqueueError, match="expires_at is the naive"):
        jobs.send.using(expires_at=naive).enqueue("a@b")


@pytest.mark.parametrize("timeout", [-1, float("nan"), 10**12])
def test_an_instance_with_a_wrong_timeout_is_refused(timeout: float) -> None:
    from pleme_redis_django import enqueue

    with pytest.raises(EnqueueError, match="timeout_seconds is"):
        enqueue(Job(job_type="x", timeout_seconds=timeout))


def test_a_job_that_is_claimed_after_its_deadline_says_so() -> None:
    job = jobs.send.using(deadline=60).enqueue("a@b")
    set_back(100)
    (claimed,) = OrmJobStore(Job).claim_jobs(str(uuid.uuid4()), 1, _everything())
    assert claimed.id == job.id
    assert claimed.expires_in_seconds == pytest.approx(-40, abs=5)


def test_a_job_in_time_says_how_much_is_left() -> None:
    jobs.send.using(deadline=60).enqueue("a@b")
    jobs.send.enqueue("c@d")
    first, second = OrmJobStore(Job).claim_jobs(str(uuid.uuid4()), 2, _everything())
    assert first.expires_in_seconds == pytest.approx(60, abs=5)
    assert second.expires_in_seconds is None


def test_drained_jobs_expire_too() -> None:
    job = jobs.send.using(deadline=60).enqueue("a@b")
    set_back(100)
    drain_jobs()
    job.refresh_from_db()
    assert (job.status, job.error_details["error_code"]) == (JobStatus.CANCELLED, "expired")


@pytest.mark.parametrize("is_scheduled", [False, True], ids=["ready", "scheduled"])
def test_a_waiting_job_ends_once_its_deadline_is_over(is_scheduled: bool) -> None:
    late = {"run_after": timezone.now() + timedelta(days=1)} if is_scheduled else {}
    job = jobs.unique_waiting.using(deadline=60, **late).enqueue(1)
    other = jobs.send.using(deadline=600).enqueue("a@b")
    store = OrmJobStore(Job)
    assert store.end_expired_jobs(10) == 0
    set_back(100)
    assert store.end_expired_jobs(10) == 1
    job.refresh_from_db()
    assert (job.status, job.error_details["error_code"]) == (JobStatus.CANCELLED, "expired")
    assert (job.unique_slot, job.attempt) == (None, 0)
    assert job.failed_at is not None
    other.refresh_from_db()
    assert other.status == JobStatus.QUEUED


def test_an_operators_retry_of_an_expired_job_lets_it_run() -> None:
    job = jobs.send.using(deadline=60).enqueue("a@b")
    set_back(100)
    OrmJobStore(Job).end_expired_jobs(10)
    assert retry_jobs(Job.objects.filter(pk=job.pk)) == 1
    assert len(drain_jobs().completed) == 1


def test_a_job_whose_deadline_is_over_says_why_it_waits() -> None:
    job = jobs.send.using(deadline=60).enqueue("a@b")
    set_back(100)
    reason = why_waiting(job)[0]
    assert reason.code == "expired"


def _everything() -> Any:
    from pleme_redis_django.jobs.interface.store import JobSelection

    return JobSelection()


def test_the_delay_of_an_enqueue_wins() -> None:
    jobs.asend.using(base_retry_delay=2).enqueue("a@b")
    jobs.asend.enqueue("a@b")
    assert [job.configuration["base_retry_delay"] for job in Job.objects.order_by("created_at", "id")] == [
        2,
        7,
    ]


@pytest.mark.parametrize("value", [-1, float("nan"), 10**400, "5", True], ids=lambda value: repr(value)[:20])
def test_a_delay_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(EnqueueError, match=r"base_retry_delay is .*Accepted: a number from 0 to 86,400"):
        jobs.send.using(base_retry_delay=value).enqueue("a@b")
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("unique", "unique_key="),
        ("time_out", "timeout"),
        ("retry_delays", "Accepted: |Did you mean"),
    ],
)
def test_an_option_that_no_enqueue_can_have_is_refused(option: str, words: str) -> None:
    with pytest.raises(EnqueueError, match=rf"using\(\) .*{option}.*({words})"):
        jobs.send.using(**{option: 1})


@pytest.mark.parametrize(("option", "instead"), [("expires_at", "deadline="), ("run_after", "schedule=")])
def test_a_moment_in_a_job_is_refused(option: str, instead: str) -> None:
    with pytest.raises(InvalidJobDefinition, match=rf"using\({option}=...\).*{instead}"):
        job(**{option: timezone.now()})(jobs.send.function)
