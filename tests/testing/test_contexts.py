"""job_context: a handler is called with it as with the context of a worker."""

from __future__ import annotations

import pytest

from pleme_redis_django import InvalidParameters, JobCancelled, JobContext, current_job_context, job
from pleme_redis_django.models import Job
from pleme_redis_django.testing import assert_enqueued, job_context
from tests.testing import jobs


@job
def count_rows(ctx: JobContext, rows: int) -> int:
    for done in range(1, rows + 1):
        ctx.progress(done, rows, note="counting")
        if ctx.cancel_requested:
            raise JobCancelled(f"stopped after {done}")
    return rows


def test_a_handler_with_a_context_is_called_and_its_reports_are_kept() -> None:
    context = job_context(attempt=3)
    assert jobs.report(context) == {"attempt": 3}
    assert context.reports == [{"done": done, "total": 3} for done in (1, 2, 3)]


def test_a_cancel_at_a_report_stops_the_handler_there() -> None:
    context = job_context(cancel_at_report=2)
    with pytest.raises(JobCancelled, match="stopped after 2"):
        count_rows(context, rows=5)
    assert [report["done"] for report in context.reports] == [1, 2]


def test_a_cancel_may_be_asked_for_before_the_call() -> None:
    context = job_context()
    context.request_cancel()
    with pytest.raises(JobCancelled, match="stopped after 1"):
        count_rows(context, rows=5)


def test_a_report_is_refused_as_a_worker_refuses_it() -> None:
    with pytest.raises(InvalidParameters, match="progress"):
        job_context().progress(-1)


def test_its_job_is_of_the_default_product_unless_one_is_given() -> None:
    context = job_context()
    assert (context.product, context.job.claim) == ("default", context.claim)
    own = Job(product="acme", job_type="shop.jobs.pack")
    assert (job_context(own).job, job_context(own).product) == (own, "acme")


@pytest.mark.django_db
def test_in_its_block_it_is_the_current_context_and_its_product_is_inherited() -> None:
    with job_context(Job(product="acme")) as context:
        assert current_job_context() is context
        jobs.enqueue_more(left=1)
    assert current_job_context() is None
    [enqueued] = assert_enqueued(jobs.enqueue_more, left=0)
    assert enqueued.product == "acme"
