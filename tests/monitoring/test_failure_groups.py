"""Failures by cause: grouped, counted and capped as plain SQL would."""

from __future__ import annotations

import pytest

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job
from pleme_redis_django.monitoring.failure_groups import failure_groups
from tests.rows import BACKENDS, ago, make_failed_job, make_job

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]


def test_failures_of_one_cause_are_one_group(using: str) -> None:
    first = make_failed_job(using, error_fingerprint="aa", failed_at=ago(600))
    newest = make_failed_job(using, error_fingerprint="aa", failed_at=ago(30), error_message="m" * 500)
    make_failed_job(using, error_fingerprint="bb", job_type="tests.other")
    found = failure_groups(using=using)
    assert [(one.fingerprint, one.job_type, one.count) for one in found.groups] == [
        ("aa", "tests.noop", 2),
        ("bb", "tests.other", 1),
    ]
    group = found.groups[0]
    assert (group.first_at, group.last_at) == (first.failed_at, newest.failed_at)
    assert (group.error_class, group.message) == ("shop.errors.Away", "m" * 200)
    assert not found.is_capped


@pytest.mark.parametrize(("span", "count"), [("1h", 1), ("3h", 2), ("24h", 3), ("7d", 4)])
def test_a_span_goes_back_by_when_jobs_failed(using: str, span: str, count: int) -> None:
    for hours in (0.5, 2, 20, 100, 200):
        make_failed_job(using, error_fingerprint="aa", failed_at=ago(3600 * hours))
    [group] = failure_groups(span=span, using=using).groups
    assert group.count == count
    with pytest.raises(KeyError):
        failure_groups(span="2h", using=using)


def test_what_is_not_failed_or_of_another_product_does_not_count(using: str) -> None:
    make_failed_job(using, product="shop", error_fingerprint="aa")
    make_failed_job(using, product="other", error_fingerprint="aa")
    make_failed_job(using, product="shop", error_fingerprint="aa", deleted_at=ago(1))
    make_job(using, product="shop", status=JobStatus.CANCELLED, failed_at=ago(1), error_fingerprint="aa")
    make_job(using, product="shop", status=JobStatus.PENDING, failed_at=ago(1), error_fingerprint="aa")
    shop = ProductScope(products=frozenset({"shop"}))
    assert [one.count for one in failure_groups(shop, using=using).groups] == [1]
    assert failure_groups(ProductScope(products=frozenset()), using=using).groups == ()


def test_no_more_than_the_newest_rows_are_read_and_that_is_said(using: str) -> None:
    for fingerprint in ("old", "new", "new"):
        make_failed_job(using, error_fingerprint=fingerprint)
    capped = failure_groups(using=using, read_limit=2)
    assert ([one.fingerprint for one in capped.groups], capped.is_capped) == (["new"], True)
    assert not failure_groups(using=using, read_limit=3).is_capped
    assert [one.count for one in failure_groups(using=using, limit=1).groups] == [2]


def test_a_failure_without_details_is_shown_all_the_same(using: str) -> None:
    make_failed_job(using, error_details=None, error_message="")
    [group] = failure_groups(using=using).groups
    assert (group.fingerprint, group.error_class, group.message) == ("", "", "")
    Job.objects.using(using).all().delete()
    assert failure_groups(using=using).groups == ()


def test_a_job_of_long_ago_that_failed_now_is_among_the_newest(using: str) -> None:
    old = make_failed_job(using, error_fingerprint="old", failed_at=ago(60), error_message="just now")
    for _ in range(3):
        make_failed_job(using, error_fingerprint="new", failed_at=ago(3_000))
    # Created first, so it has the least id; it failed last.
    found = failure_groups(using=using, read_limit=2)
    [group] = [one for one in found.groups if one.fingerprint == "old"]
    assert (group.last_at, group.message) == (old.failed_at, "just now")


def test_a_cap_bites_within_the_span_alone(using: str) -> None:
    for _ in range(5):
        make_failed_job(using, failed_at=ago(2 * 3600))
    make_failed_job(using, failed_at=ago(60))
    assert not failure_groups(span="1h", using=using, read_limit=2).is_capped
    assert failure_groups(span="3h", using=using, read_limit=2).is_capped


def test_a_noisy_product_pushes_no_quiet_one_out(using: str) -> None:
    make_failed_job(using, product="quiet", failed_at=ago(600))
    for _ in range(4):
        make_failed_job(using, product="noisy", failed_at=ago(60))
    found = failure_groups(ProductScope(products=frozenset({"quiet"})), using=using, read_limit=2)
    assert ([one.count for one in found.groups], found.is_capped) == ([1], False)


def test_how_many_causes_there_are_is_counted_beside_those_that_are_shown(using: str) -> None:
    for number in range(5):
        make_failed_job(using, error_fingerprint=f"cause-{number}")
    found = failure_groups(using=using, limit=2)
    assert (len(found.groups), found.cause_count) == (2, 5)


def test_the_message_is_that_of_the_job_that_failed_last_not_of_the_one_created_last(using: str) -> None:
    make_failed_job(using, error_fingerprint="aa", failed_at=ago(5), error_message="failed last")
    make_failed_job(using, error_fingerprint="aa", failed_at=ago(500), error_message="created last")
    [group] = failure_groups(using=using).groups
    assert group.message == "failed last"


def test_jobs_that_failed_at_one_moment_are_not_mixed_up(using: str) -> None:
    moment = ago(5)
    for fingerprint in ("aa", "bb", "aa", "bb"):
        make_failed_job(using, error_fingerprint=fingerprint, failed_at=moment, error_message=fingerprint)
    make_failed_job(using, error_fingerprint="bb", failed_at=ago(1), error_message="newer")
    found = {one.fingerprint: one for one in failure_groups(using=using).groups}
    assert (found["aa"].message, found["bb"].message) == ("aa", "newer")
