"""assert_enqueued: what it finds, and what it says when it does not."""

from __future__ import annotations

from unittest.mock import ANY

import pytest

from pleme_redis_django.exceptions import InvalidParameters, UnknownJobType
from pleme_redis_django.models import Job
from pleme_redis_django.testing import aassert_enqueued, assert_enqueued, drain_jobs
from tests.testing import jobs

pytestmark = pytest.mark.django_db


def test_an_enqueued_job_is_found_and_returned() -> None:
    job = jobs.make_group.enqueue(name="editors")
    jobs.make_group.enqueue(name="writers")
    assert [found.pk for found in assert_enqueued(jobs.make_group, name="editors")] == [job.pk]
    assert len(assert_enqueued(jobs.make_group)) == 2
    assert len(assert_enqueued(jobs.make_group.name, name=ANY)) == 2
    assert len(assert_enqueued(Job, name="editors")) == 1


def test_a_job_that_has_run_was_enqueued() -> None:
    jobs.make_group.enqueue(name="editors")
    drain_jobs()
    assert_enqueued(jobs.make_group, name="editors")


def test_a_failure_lists_what_was_enqueued_instead() -> None:
    jobs.make_group.using(product="novaskyn").enqueue(name="editors")
    jobs.fail.enqueue(message="x")
    with pytest.raises(AssertionError) as error:
        assert_enqueued(jobs.make_group, name="writers")
    assert str(error.value).splitlines() == [
        "tests.testing.jobs.make_group was enqueued 0 times with name='writers', and has to be at least once.",
        "  QUEUED in novaskyn/names: name='editors'",
        "Other jobs: tests.testing.jobs.fail (1).",
    ]


def test_a_long_list_is_cut() -> None:
    jobs.make_group.enqueue_many({"name": "n" * 500} for _ in range(15))
    with pytest.raises(AssertionError) as error:
        assert_enqueued(jobs.make_group, name="writers")
    lines = str(error.value).splitlines()
    assert (len(lines), lines[-2]) == (13, "  and 5 more")
    assert max(map(len, lines)) < 200


def test_options_are_given_as_they_are_at_the_enqueue() -> None:
    jobs.make_group.using(product="novaskyn", priority=5).enqueue(name="editors")
    assert_enqueued(jobs.make_group.using(product="novaskyn", queue_name="names", priority=5))
    for other in ({"product": "default"}, {"queue_name": "email"}, {"priority": 0}):
        with pytest.raises(AssertionError, match="novaskyn/names"):
            assert_enqueued(jobs.make_group.using(**other))


@pytest.mark.parametrize("times", [0, 1, 3])
def test_the_wrong_number_of_times(times: int) -> None:
    jobs.make_group.enqueue_many([{"name": "editors"}, {"name": "editors"}])
    assert_enqueued(jobs.make_group, 2, name="editors")
    with pytest.raises(
        AssertionError, match=f"2 times with name='editors', and has to be exactly {times} times"
    ):
        assert_enqueued(jobs.make_group, times, name="editors")


def test_not_enqueued_is_0_times() -> None:
    assert assert_enqueued(jobs.make_group, 0) == []
    assert assert_enqueued(jobs.make_group, 0, name="editors") == []


def test_a_parameter_that_the_job_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidParameters, match=r"make_group.*no parameter nmae"):
        assert_enqueued(jobs.make_group, 0, nmae="editors")


def test_a_name_that_no_job_has_is_refused() -> None:
    with pytest.raises(UnknownJobType, match=r"Did you mean tests\.testing\.jobs\.make_group"):
        assert_enqueued("tests.testing.jobs.make_groups")


@pytest.mark.django_db(transaction=True)
async def test_the_async_twin() -> None:
    await jobs.make_group.aenqueue(name="editors")
    assert len(await aassert_enqueued(jobs.make_group, name="editors")) == 1
