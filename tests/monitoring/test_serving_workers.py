"""Which worker processes could run a waiting job, and their slots of its kind."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from pleme_redis_django.operations import drain_worker
from tests.monitoring.waiting_jobs import TYPE, codes, only, waiting
from tests.rows import make_worker
from tests.workload.jobs import add_slowly

pytestmark = pytest.mark.django_db

POOLS = {"default": {}, "email": {"model": "workload.EmailJob", "queues": ["email"]}}


@pytest.mark.parametrize(
    "worker",
    [{"queues": ["images", "reports"]}, {"product": "theirs"}, {"queues": ["email"], "product": "x"}],
)
def test_no_worker_serves_its_queue_and_product(worker: dict[str, Any]) -> None:
    make_worker(**worker)
    reason = only(waiting(queue_name="email", product="ours"))
    assert reason.code == "unserved"
    assert "serves the queue email of ours" in reason.text
    assert str(worker.get("queues", ["*"])[0]) in reason.text


def test_a_worker_of_another_job_model_does_not_serve_it() -> None:
    with override_settings(PLEME_REDIS={"POOLS": POOLS}):
        make_worker(pool="email", queues=["email"])
        assert codes(waiting(queue_name="email")) == ["no_worker"]
        make_worker()
        assert codes(waiting(queue_name="other", priority=1)) == ["next"]


def test_every_worker_that_serves_it_drains() -> None:
    worker = make_worker()
    make_worker(queues=["images"])
    drain_worker(worker.id)
    worker.refresh_from_db()
    reason = only(waiting())
    assert (reason.code, reason.since) == ("draining", worker.drain_requested_at)
    make_worker()
    assert codes(waiting(queue_name="other", priority=1)) == ["next"]


def test_free_slots_of_the_other_kind_are_no_free_slots() -> None:
    make_worker(slots=30, async_slots=20, running=10, async_running=0)
    reason = only(waiting())
    assert (reason.code, reason.text) == (
        "busy",
        "All 10 sync slots of the worker process that serves it are taken, and it is next.",
    )
    assert codes(waiting(job_type=add_slowly.name, priority=1)) == ["next"]


def test_a_type_that_no_live_worker_knows() -> None:
    make_worker(job_types=["shop.jobs.other"])
    reason = only(waiting())
    assert reason.code == "unknown_type"
    assert "No live worker process that serves it knows the type" in reason.text
    assert "jobs.py" in reason.fix
    make_worker(job_types=["shop.jobs.other", TYPE])
    assert codes(waiting(priority=1)) == ["next"]


def test_a_type_that_the_workers_know_need_not_be_known_here() -> None:
    make_worker(job_types=["shop.jobs.of_the_next_release"])
    assert codes(waiting(job_type="shop.jobs.of_the_next_release")) == ["next"]


def test_a_quarantine_process_takes_no_other_job() -> None:
    make_worker(is_quarantine=True)
    assert codes(waiting()) == ["no_worker"]
