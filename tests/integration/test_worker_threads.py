"""Threads of worker processes: one that ends takes its process down, and none waits for a pool's connection."""

from __future__ import annotations

import json
import signal
from functools import partial

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.models import Job
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.workload import jobs

pytestmark = pytest.mark.process


def _completed(count: int) -> bool:
    return Job.objects.filter(status=JobStatus.COMPLETED).count() == count


def test_a_process_whose_claimer_has_ended_is_replaced(start_workers: StartWorkers) -> None:
    workers = start_workers()
    jobs.break_the_claimer.enqueue()
    output = workers.wait_for_output("ended with exit code 5; starting another one")
    assert "pleme-claimer" in output
    jobs.noop.enqueue()
    wait_for(partial(_completed, 2), "the next process runs jobs", details=workers.output)
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0


def test_workers_need_no_room_in_a_connection_pool(start_workers: StartWorkers) -> None:
    jobs.count_jobs.enqueue_many([{}] * 20)
    options = json.dumps({"OPTIONS": {"pool": {"max_size": 4, "timeout": 4}}})
    workers = start_workers("--worker-count", "5", environment={"DATABASE_OVERRIDES": options})
    wait_for(partial(_completed, 20), "20 jobs end", details=workers.output)
    assert workers.output().count("workers use no connection pool") == 1
