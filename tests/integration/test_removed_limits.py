"""A deployment that removes the limit of a key: jobs of both releases at once, with real worker processes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from pleme_redis_django import Job
from pleme_redis_django.models import FlowLimit
from tests.faults.releases.jobs import KEY, hold
from tests.integration.conftest import StartWorkers
from tests.rows import make_job
from tests.waiting import wait_for

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]

RELEASE = {"DJANGO_SETTINGS_MODULE": "tests.faults.releases.settings"}
BEFORE, AFTER = RELEASE | {"FAULT_RELEASE": "before"}, RELEASE | {"FAULT_RELEASE": "after"}
ENDED = f"the limit of the key {KEY} is not declared any more and has ended"
JOBS = 4


def count(status: str) -> int:
    return Job.objects.filter(status=status).count()


def later_than(declared_at: datetime) -> datetime | None:
    """Return when somebody has said that the limit is declared, if that was later."""
    return (
        FlowLimit.objects.filter(last_used_at__gt=declared_at).values_list("last_used_at", flat=True).first()
    )


def test_what_waits_behind_a_removed_limit_goes_on_after_the_last_process_of_the_release_before(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    for _ in range(JOBS):
        make_job(job_type=hold.name, parameters={"path": str(gate)}, concurrency_key=KEY)
    before = start_workers(environment=BEFORE)
    wait_for(
        lambda: (count("RUNNING"), count("BLOCKED")) == (1, JOBS - 1),
        "all but one wait",
        details=before.output,
    )
    after = [start_workers(environment=AFTER) for _ in range(2)]

    def outputs() -> str:
        return "\n".join(workers.output() for workers in after)

    for workers in after:
        workers.wait_for_output("worker started")
    declared_at = FlowLimit.objects.get().last_used_at
    for _ in range(20):
        declared_at = wait_for(
            lambda declared_at=declared_at: later_than(declared_at),
            "the release before says that it declares the limit",
            details=before.output,
        )
    assert (count("RUNNING"), count("BLOCKED")) == (1, JOBS - 1)
    before.end()
    wait_for(lambda: count("RUNNING") == JOBS, "all run at once", details=outputs)
    assert not FlowLimit.objects.exists()
    gate.touch()
    wait_for(lambda: count("COMPLETED") == JOBS, "all end", details=outputs)
    assert outputs().count(ENDED) == 1 and ENDED not in before.output()
