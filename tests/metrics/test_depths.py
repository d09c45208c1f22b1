"""How deep the queues are: what the table holds, and how far it is counted."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.metrics import sampler as sampler_module
from pleme_redis_django.models import Job, QueueRollup, QueueSample
from tests.metrics.measuring import SlowCount, a_sampler, turn_now
from tests.rows import BACKENDS, ago, make_job

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]


def sample(using: str) -> dict[tuple[str, str], dict[str, Any]]:
    stored = QueueSample.objects.using(using).get().queues
    return {(one["product"], one["queue"]): one for one in stored}


def test_depths_are_what_the_table_holds(using: str) -> None:
    for product in ("shop", "blog"):
        make_job(using, product=product, queue_name="emails", run_after=ago(400))
        make_job(using, product=product, queue_name="emails", run_after=ago(900), crash_count=1)
        make_job(using, product=product, queue_name="emails", run_after=ago(9_000), deleted_at=ago(1))
        make_job(using, product=product, queue_name="images", status=JobStatus.PENDING, run_after=ago(-60))
        make_job(using, product=product, queue_name="images", status=JobStatus.RUNNING)
        make_job(using, product=product, queue_name="images", status=JobStatus.BLOCKED, blocked_on="k:shop:x")
        make_job(using, product=product, queue_name="done", status=JobStatus.COMPLETED)
    turn_now(a_sampler(using), using)
    found = sample(using)
    for (product, queue), one in found.items():
        jobs = Job.objects.using(using).filter(product=product, queue_name=queue, deleted_at=None)
        for key, status in (
            ("ready", "QUEUED"),
            ("blocked", "BLOCKED"),
            ("pending", "PENDING"),
            ("running", "RUNNING"),
        ):
            assert one[key] == jobs.filter(status=status).count()
        oldest = jobs.filter(status="QUEUED").order_by("run_after").first()
        assert one["oldest_ready_at"] == (oldest and pytest.approx(oldest.run_after.timestamp(), abs=0.001))
    assert found.keys() == {
        (product, queue) for product in ("shop", "blog") for queue in ("emails", "images")
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [("QUEUED", "ready"), ("BLOCKED", "blocked"), ("PENDING", "pending"), ("RUNNING", "running")],
)
def test_what_a_capped_count_found_is_marked_as_at_least_so_many(
    using: str, monkeypatch: pytest.MonkeyPatch, status: str, kind: str
) -> None:
    monkeypatch.setattr(sampler_module, "CAPPED_ROWS", 2)
    counted = SlowCount(monkeypatch, seconds=1)
    counted.fails = True
    for _ in range(5):
        make_job(using, status=status)
    sampler = a_sampler(using)
    with pytest.raises(OperationalError):
        sampler.turn()
    counted.fails = False
    turn_now(sampler, using)
    found = sample(using)["default", "default"]
    assert (found[kind], found["is_capped"]) == (2, True)


def test_an_idle_queue_has_no_rows(using: str) -> None:
    make_job(using, status=JobStatus.COMPLETED)
    make_job(using, status=JobStatus.PENDING, run_after=ago(-600), queue_name="later")
    sampler = a_sampler(using)
    for _ in range(3):
        turn_now(sampler, using)
    rows = QueueRollup.objects.using(using)
    assert set(rows.values_list("product", "queue_name")) == {("", "")}
