"""``runworkers --burst`` beside jobs that may not start yet: it runs what may, leaves the others, and ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from pleme_redis_django import Job
from pleme_redis_django.operations import set_limit
from tests.faults.effects import effects_of
from tests.faults.jobs import fail_until, record, wait_for_file
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]


def statuses(**fields: str) -> list[str]:
    return list(Job.objects.filter(**fields).order_by("id").values_list("status", flat=True))


def begun(job: Job) -> int:
    return sum(job_id == job.pk for job_id, *_ in effects_of("begin"))


def test_a_burst_ends_behind_a_limit_that_is_a_pause(start_workers: StartWorkers) -> None:
    set_limit("key", "api", max_running=0)
    waiting = record.using(concurrency_key="api").enqueue_many([{}] * 3)
    free = record.enqueue()
    workers = start_workers("--burst", "--processes", "2")
    assert workers.exit_code() == 0, workers.output()
    assert (begun(free), [begun(job) for job in waiting]) == (1, [0, 0, 0])
    assert statuses(concurrency_key="api") == ["BLOCKED"] * 3
    set_limit("key", "api", max_running=1)
    assert start_workers("--burst").exit_code() == 0
    assert statuses() == ["COMPLETED"] * 4


def test_a_burst_ends_behind_a_place_that_a_job_of_another_process_holds(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    """The other process lets it in once its own job has ended."""
    gate = tmp_path / "gate"
    set_limit("key", "api", max_running=1)
    holder = wait_for_file.using(concurrency_key="api", queue_name="first").enqueue(path=str(gate))
    other = start_workers("--queues", "first")
    wait_for(lambda: begun(holder), "it runs in the other process", details=other.output)
    behind, free = record.using(concurrency_key="api").enqueue(), record.enqueue()
    workers = start_workers("--burst", "--queues", "default")
    assert workers.exit_code() == 0, workers.output()
    assert (begun(free), begun(behind)) == (1, 0)
    assert (statuses(pk=behind.pk), statuses(pk=holder.pk)) == (["BLOCKED"], ["RUNNING"])
    gate.touch()
    wait_for(lambda: statuses(pk=behind.pk) == ["QUEUED"], "it is let in", details=other.output)
    assert start_workers("--burst", "--queues", "default").exit_code() == 0
    assert statuses() == ["COMPLETED"] * 3


def test_a_burst_ends_behind_a_head_that_waits_for_its_retry(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    head = fail_until.using(order_key="a", base_retry_delay=3_600).enqueue(path=str(tmp_path / "never"))
    younger = record.using(order_key="a").enqueue_many([{}] * 2)
    workers = start_workers("--burst")
    assert workers.exit_code() == 0, workers.output()
    assert (begun(head), [begun(job) for job in younger]) == (1, [0, 0])
    assert statuses() == ["PENDING", "BLOCKED", "BLOCKED"]
