"""Typed parameters and results with a real worker process."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from pleme_redis_django import Job
from tests.integration.conftest import StartWorkers
from tests.workload.jobs import noop
from tests.workload.typed_jobs import Kind, Line, Receipt, acharge, charge

pytestmark = pytest.mark.process


def test_workers_give_handlers_what_was_given_and_outlive_rows_that_do_not_fit(
    start_workers: StartWorkers,
) -> None:
    order, at = uuid4(), datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    lines = [Line(price=Decimal("9.50"), count=2)]
    handlers = (charge, acharge, charge.using(isolated=True))
    jobs = [one.enqueue(order, at, Kind.CARD, lines) for one in handlers]
    broken = charge.enqueue(order, at, Kind.CARD, lines)
    Job.objects.filter(pk=broken.pk).update(parameters=broken.parameters | {"lines": [{"price": "much"}]})
    after = noop.enqueue()
    workers = start_workers("--burst")
    assert workers.exit_code() == 0, workers.output()
    receipt = Receipt(order=order, total=Decimal("19.00"), at=at, kind=Kind.CARD)
    for handler, job in zip(handlers, jobs, strict=True):
        assert handler.result_of(Job.objects.get(pk=job.pk)) == receipt
    broken.refresh_from_db()
    assert (broken.status, broken.retry_count) == ("FAILED", 0)
    assert broken.error_details["error_code"] == "invalid_parameters"
    assert "lines[0].price is 'much' (str), and its annotation is Decimal" in broken.error_message
    assert Job.objects.get(pk=after.pk).status == "COMPLETED"
