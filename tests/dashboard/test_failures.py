"""Failures by cause: grouped, counted and capped as plain SQL would."""

from __future__ import annotations

import pytest

from pleme_redis_django.dashboard.failures import failure_groups
from pleme_redis_django.dashboard.scope import ProductScope
from pleme_redis_django.jobs.job import JobStatus
from pleme_redis_django.models import Job
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
