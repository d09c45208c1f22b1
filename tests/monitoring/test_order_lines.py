"""What is told of strict orders: how many wait, since when, and for which job."""

from __future__ import annotations

import pytest

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.monitoring.order_lines import line_reports
from tests.rows import BACKENDS, ago, make_job

pytestmark = pytest.mark.django_db(databases=BACKENDS)


@pytest.mark.parametrize("using", BACKENDS)
def test_a_line_is_told_with_the_job_whose_turn_it_is(using: str) -> None:
    def of_order(number: int, status: JobStatus, **fields: object) -> object:
        key = f"order:{number}"
        line = f"o:acme:{key}" if status == JobStatus.BLOCKED else None
        return make_job(using, product="acme", order_key=key, status=status, blocked_on=line, **fields)

    head = of_order(7, JobStatus.PENDING, attempt=1, retry_count=1, run_after=ago(-60))
    of_order(7, JobStatus.BLOCKED)
    of_order(7, JobStatus.BLOCKED)
    of_order(7, JobStatus.PENDING, run_after=ago(-3600))
    of_order(8, JobStatus.BLOCKED)
    of_order(9, JobStatus.RUNNING)
    first, second = line_reports(using=using)
    assert (first.order_key, first.waiting, first.head) == ("order:7", 2, head)
    assert (second.order_key, second.waiting, second.head) == ("order:8", 1, None)
    assert line_reports(ProductScope(products=frozenset(["blog"])), using=using) == []
