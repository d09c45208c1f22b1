"""What the demo finds when limits, rates or orders were not kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from example_project.demo.flow import (
    PARCEL_STEPS,
    flood_in_words,
    parts_of_flood_first,
    slowed_by_flood,
    starts_over_a_limit,
    steps_out_of_order,
    waits_in_words,
)
from example_project.demo.work import COUNTRIES, enqueue_flood
from example_project.shop.jobs import (
    ask_price,
    call_courier,
    count_by_country,
    index_item,
    pick_prints,
    print_label,
    wrap_parcel,
)
from example_project.shop.models import Order
from pleme_redis_django import Job, JobStatus
from pleme_redis_django.testing import drain_jobs
from tests.rows import make_job, make_jobs

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 27, 12, tzinfo=UTC)


def ran(job_type: str, begun: float, ended: float, **fields: Any) -> Any:
    times = {"started_at": START + timedelta(seconds=begun), "completed_at": START + timedelta(seconds=ended)}
    return make_job(job_type=job_type, status=JobStatus.COMPLETED, **times, **fields)


def test_the_steps_of_a_parcel_come_one_after_the_other() -> None:
    order = Order.objects.create(number="N1", customer_name="Ada", email="ada@example.org")
    for step in (pick_prints, wrap_parcel, call_courier):
        step.enqueue(order.number)
    assert [job.job_type for job in drain_jobs().completed] == list(PARCEL_STEPS)
    assert list(steps_out_of_order(Job.objects.all())) == []


def test_steps_that_overlap_are_told() -> None:
    for number, (begun, ended) in enumerate([(0, 2), (1, 3), (3, 4)]):
        ran(PARCEL_STEPS[number], begun, ended, parameters={"order": "N1"})
        ran(PARCEL_STEPS[number], 10 * number, 10 * number + 5, parameters={"order": "N2"})
    assert list(steps_out_of_order(Job.objects.all())) == [
        "the steps of the order N1 did not run one after the other"
    ]


def test_two_labels_at_once_are_told() -> None:
    ran(print_label.name, 0, 1)
    ran(print_label.name, 1, 2)
    assert list(starts_over_a_limit(Job.objects.all())) == []
    ran(print_label.name, 1.5, 3)
    assert list(starts_over_a_limit(Job.objects.all())) == ["two labels were at the printer at once"]


def test_too_many_calls_of_the_supplier_are_told() -> None:
    for number in range(10):
        ran(ask_price.name, number / 20, 1)
    assert list(starts_over_a_limit(Job.objects.all())) == []
    ran(ask_price.name, 0.9, 1)
    assert list(starts_over_a_limit(Job.objects.all())) == [
        "the supplier was called more than 10 times within a second"
    ]


def test_waits_are_told_by_product() -> None:
    for product, wait in (("lilith", 8), ("novaskyn", 2)):
        make_job(
            product=product,
            job_type=index_item.name,
            run_after=START,
            claimed_at=START + timedelta(seconds=wait),
        )
    ran(ask_price.name, 0, 1, run_after=START - timedelta(hours=1), claimed_at=START)
    assert waits_in_words(Job.objects.all()) == (
        "lilith 1 jobs, half of them for less than 8.0 s; novaskyn 1 jobs, half of them for less than 2.0 s"
    )


def count(number: int, started: float, due: float = 0.0, **fields: Any) -> None:
    """Store so many started jobs of the flood's type."""
    times = {"run_after": START + timedelta(seconds=due), "started_at": START + timedelta(seconds=started)}
    values = {"attempt": 1, "status": JobStatus.COMPLETED, "product": "novaskyn", **times, **fields}
    make_jobs(number, job_type=count_by_country.name, **values)


def test_a_shop_that_waits_for_the_flood_is_told() -> None:
    count(200, product="lilith", started=1)
    count(800, product="lilith", started=9)
    count(1, started=10)
    count(2, started=5)
    assert sorted(parts_of_flood_first(Job.objects.all())) == [0.2, 0.2, 1.0]
    assert list(slowed_by_flood(Job.objects.all())) == []
    assert flood_in_words(Job.objects.all()) == (
        "20% of it started before half of 3 jobs of the shop that stood behind it"
    )
    count(3, started=10)
    assert list(slowed_by_flood(Job.objects.all())) == [
        "lilith slowed the shop: 100% of it started before half of 6 jobs of the shop that stood behind it"
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"due": 9.5},
        {"due": -1.0},
        {"attempt": 2},
        {"retry_count": 1},
        {"started_at": None},
    ],
    ids=["not behind it", "before it", "rescued", "retried", "not started"],
)
def test_what_did_not_stand_behind_the_flood_or_ran_again_does_not_count(
    fields: dict[str, Any],
) -> None:
    count(1_000, product="lilith", started=9)
    count(3, **{"started": 10.0, **fields})
    assert list(slowed_by_flood(Job.objects.all())) == []
    assert flood_in_words(Job.objects.all()) == "no job of the shop stood behind it"


def test_a_flood_that_is_nearly_over_holds_nobody_up() -> None:
    count(999, product="lilith", started=9)
    count(3, started=10)
    assert parts_of_flood_first(Job.objects.all()) == []


def test_jobs_of_the_shop_stand_behind_the_flood() -> None:
    flood = enqueue_flood(30)
    assert {job.job_type for job in flood} == {count_by_country.name}
    assert [job.product == "lilith" for job in flood] == [True] * 30 + [False] * len(COUNTRIES)
    assert max(job.run_after for job in flood[:30]) <= min(job.run_after for job in flood[30:])
