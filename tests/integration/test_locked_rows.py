"""Rows that are locked for long, by a handler or by somebody else: everything else goes on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.models import Job
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.workload import jobs

pytestmark = pytest.mark.process


def test_a_handler_that_locks_its_own_row_holds_up_no_other(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    started, let_go = tmp_path / "started", tmp_path / "let-go"
    holder = jobs.hold_own_row.enqueue(started=str(started), path=str(let_go))
    workers = start_workers("--worker-count", "2")
    wait_for(started.exists, "the handler holds its row", details=workers.output)
    jobs.noop.enqueue_many([{}] * 100)
    wait_for(
        lambda: Job.objects.filter(status=JobStatus.COMPLETED).count() == 100,
        "100 jobs end beside it",
        details=workers.output,
    )
    let_go.touch()
    wait_for(
        lambda: Job.objects.get(id=holder.id).status == JobStatus.COMPLETED,
        "the handler ends too",
        details=workers.output,
    )
    assert Job.objects.get(id=holder.id).progress == {"done": 1, "total": 2}
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0
