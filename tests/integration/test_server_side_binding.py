"""Worker processes whose connections bind values in the server: plans without values, and several statements apart."""

from __future__ import annotations

import pytest
from django.db.models import Max, Min

from pleme_redis_django import Job
from pleme_redis_django.models import JobAttempt
from tests.integration.conftest import StartWorkers
from tests.workload.jobs import count, fail, noop

pytestmark = pytest.mark.process

JOBS = 3_000


def test_a_drain_runs_and_ends_every_job_once(start_workers: StartWorkers) -> None:
    noop.enqueue_many({} for _ in range(JOBS))
    count.enqueue_many({"total": 2} for _ in range(20))
    fail.using(max_retries=0).enqueue_many({"message": "as asked"} for _ in range(20))
    workers = start_workers(
        "--burst", "--processes", "2", environment={"DJANGO_SETTINGS_MODULE": "tests.server_side_settings"}
    )
    assert workers.exit_code(90.0) == 0, workers.output()
    ended = Job.objects.filter(status="COMPLETED")
    assert (ended.count(), Job.objects.filter(status="FAILED").count()) == (JOBS + 20, 20)
    assert Job.objects.aggregate(most=Max("attempt"), least=Min("attempt")) == {"most": 1, "least": 1}
    assert JobAttempt.objects.count() == 20
    assert "refuses a statement" not in workers.output()
