"""runworkers from the outside: what it prints, what it runs, and how it ends."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from pleme_redis_django import Job, enqueue
from tests.faults.effects import effects_of
from tests.faults.jobs import record, record_async
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.workload.jobs import add_slowly, count, fail, noop

pytestmark = pytest.mark.process


def statuses() -> dict[str, int]:
    found: dict[str, int] = {}
    for status in Job.objects.values_list("status", flat=True):
        found[status] = found.get(status, 0) + 1
    return found


def test_burst_runs_what_is_ready_and_ends(start_workers: StartWorkers) -> None:
    noop.enqueue_many({} for _ in range(300))
    add_slowly.enqueue(2, 3)
    workers = start_workers("--burst", "--processes", "2")
    assert workers.exit_code() == 0
    assert statuses() == {"COMPLETED": 301}
    assert "301 jobs ended in" in workers.output()


def test_burst_with_nothing_to_do_ends(start_workers: StartWorkers) -> None:
    workers = start_workers("--burst")
    assert workers.exit_code() == 0
    assert "\n0 jobs ended in " in workers.output()


def test_burst_runs_the_retries_that_are_due_at_once(start_workers: StartWorkers) -> None:
    job = fail.enqueue()
    assert start_workers("--burst").exit_code() == 0
    job = Job.objects.get(id=job.id)
    assert (job.status, job.retry_count, job.attempt) == ("FAILED", 2, 3)


def test_serves_only_the_queues_it_is_told_to(start_workers: StartWorkers) -> None:
    mail, other = noop.using(queue_name="mail").enqueue(), noop.using(queue_name="other").enqueue()
    assert start_workers("--burst", "--queues", "mail,letters").exit_code() == 0
    assert Job.objects.get(id=mail.id).status == "COMPLETED"
    assert Job.objects.get(id=other.id).status == "QUEUED"


def test_serves_only_the_product_it_is_told_to(start_workers: StartWorkers) -> None:
    ours, theirs = noop.using(product="ours").enqueue(), noop.using(product="theirs").enqueue()
    workers = start_workers("--burst", "--product", "ours")
    assert workers.exit_code() == 0
    assert "product ours" in workers.output()
    assert Job.objects.get(id=ours.id).status == "COMPLETED"
    assert Job.objects.get(id=theirs.id).status == "QUEUED"


def test_takes_the_numbers_of_a_preset(start_workers: StartWorkers) -> None:
    workers = start_workers("--burst", "--preset", "high_throughput")
    assert workers.exit_code() == 0
    assert "x 50 sync" in workers.output()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("emial",), 'no pool "emial"'),
        (("--worker-count", "-1"), "worker_count is -1"),
        (("--queues", "no/such name"), "is not a valid queue name"),
        (("--product", "A:B"), "product"),
    ],
)
def test_refuses_what_is_not_accepted(
    start_workers: StartWorkers, arguments: tuple[str, ...], said: str
) -> None:
    workers = start_workers(*arguments)
    assert workers.exit_code() == 1
    assert said in workers.output()
    assert "Traceback" not in workers.output()


def test_json_log_lines_carry_ids_and_no_payloads(start_workers: StartWorkers) -> None:
    job = fail.using(max_retries=0).enqueue("a secret message")
    workers = start_workers("--burst", "--log-format", "json")
    assert workers.exit_code() == 0
    lines = [json.loads(line) for line in workers.output().splitlines() if line.startswith("{")]
    assert [line["job_id"] for line in lines if line["event"] == "job failed for good"] == [str(job.id)]
    assert all({"time", "level", "pid", "event"} <= set(line) for line in lines)
    assert "secret" not in workers.output()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_tracebacks_are_in_the_log_where_they_are_asked_for(
    start_workers: StartWorkers, log_format: str
) -> None:
    fail.using(max_retries=0).enqueue("a message with a reason")
    asked = start_workers("--burst", "--log-format", log_format, "--tracebacks", "always")
    assert asked.exit_code() == 0
    assert "raise ProviderError(message)" in asked.output()
    assert "a message with a reason" in asked.output()
    fail.using(max_retries=0).enqueue("a message with a reason")
    silent = start_workers("--burst", "--log-format", log_format)
    assert silent.exit_code() == 0
    assert "job failed for good" in silent.output()
    assert "reason" not in silent.output(), "the output is no terminal"


def test_sync_and_async_handlers_run_side_by_side(start_workers: StartWorkers, effects: None) -> None:
    ids = [record.enqueue(0.01).id for _ in range(20)] + [record_async.enqueue(0.01).id for _ in range(20)]
    assert start_workers("--burst").exit_code() == 0
    assert statuses() == {"COMPLETED": 40}
    assert set(Job.objects.values_list("attempt", flat=True)) == {1}
    assert len(ids) == 40


def test_progress_is_written(start_workers: StartWorkers) -> None:
    job = count.enqueue(50)
    assert start_workers("--burst").exit_code() == 0
    assert Job.objects.get(id=job.id).progress == {"done": 50, "total": 50}


def test_a_scheduled_job_starts_when_it_is_due(start_workers: StartWorkers) -> None:
    """Not at the next scan: the worker sleeps no longer than the next due time."""
    workers = start_workers(pool={"poll_timeout": 60, "stale_check_interval_seconds": 600})
    workers.wait_for_output("worker started")
    noop.enqueue()
    wait_for(lambda: statuses() == {"COMPLETED": 1}, "the first job ends", details=workers.output)
    noop.using(run_after=timezone.now() + timedelta(seconds=1)).enqueue()
    wait_for(lambda: statuses() == {"COMPLETED": 2}, "the scheduled job ends", details=workers.output)


def test_a_job_of_an_unknown_type_waits_and_blocks_nobody(start_workers: StartWorkers) -> None:
    job = Job(product="default", job_type="shop.jobs.not_deployed_yet", priority=100)
    enqueue(job)
    noop.enqueue()
    assert start_workers("--burst").exit_code() == 0
    assert statuses() == {"QUEUED": 1, "COMPLETED": 1}
    Job.objects.filter(id=job.id).update(job_type="tests.workload.jobs.noop")
    assert start_workers("--burst").exit_code() == 0
    assert statuses() == {"COMPLETED": 2}


def test_a_deleted_job_is_never_run(start_workers: StartWorkers, effects: None) -> None:
    job = record.enqueue()
    Job.objects.filter(id=job.id).update(deleted_at=timezone.now())
    assert start_workers("--burst").exit_code() == 0
    assert effects_of("begin") == []
    assert Job.objects.get(id=job.id).status == "QUEUED"
