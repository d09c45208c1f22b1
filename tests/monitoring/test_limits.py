"""What is told of limits: what runs, what waits, since when, and what is left of a rate."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import FlowGate, FlowLimit, FullGate, Job
from pleme_redis_django.monitoring import limits
from pleme_redis_django.monitoring.limits import LimitReport, limit_reports, limit_rows, tokens_of
from tests.rows import BACKENDS, ago, make_job

pytestmark = pytest.mark.django_db(databases=BACKENDS)


@pytest.fixture(params=BACKENDS)
def using(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make_limit(using: str = "default", **fields: Any) -> FlowLimit:
    values = {
        "job_model": "pleme_redis_django.job",
        "kind": "key",
        "name": "stripe",
        "source": "code",
        **fields,
    }
    return FlowLimit.objects.using(using).create(**values)


def reports(using: str = "default", scope: ProductScope = EVERY_PRODUCT) -> list[LimitReport]:
    return limit_reports(limit_rows(scope, using=using), scope)


def blocked(using: str, gate: str, **fields: Any) -> Job:
    return make_job(using, status=JobStatus.BLOCKED, blocked_on=gate, **fields)


def test_the_places_of_what_runs_are_added_up_for_each_gate(using: str) -> None:
    make_limit(using, max_running=5)
    for product, cost in (("acme", 1), ("acme", 3), ("blog", 1)):
        make_job(using, status=JobStatus.RUNNING, product=product, concurrency_key="stripe", cost=cost)
    make_job(using, status=JobStatus.RUNNING, product="acme", concurrency_key="paypal")
    make_job(using, status=JobStatus.RUNNING, product="acme")
    [report] = reports(using)
    assert {gate.gate.product: gate.running for gate in report.gates} == {"acme": 4, "blog": 1}
    assert (report.state, report.running, report.waiting) == ("free", 5, 0)


def test_who_runs_is_named_the_longest_first_and_the_others_are_counted(using: str) -> None:
    make_limit(using, max_running=9)
    held = {"status": JobStatus.RUNNING, "product": "acme", "concurrency_key": "stripe"}
    jobs = [make_job(using, job_type=f"shop.{age}", claimed_at=ago(age), **held) for age in (5, 90, 30, 60)]
    jobs += [make_job(using, claimed_at=ago(100), deleted_at=ago(1), cost=2, **held)]
    make_job(using, status=JobStatus.RUNNING, product="acme", claimed_at=ago(200))
    [gate] = reports(using)[0].gates
    named = [(holder.job_id, holder.since, holder.is_deleted) for holder in gate.holders]
    by_age = (jobs[4], jobs[1], jobs[3])
    assert named == [(job.pk, job.claimed_at, job.deleted_at is not None) for job in by_age]
    assert (gate.jobs, gate.running) == (5, 6)


def test_so_many_of_the_jobs_that_run_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOLDERS_READ", 2)
    make_limit(max_running=9)
    for age in (5, 90, 30):
        make_job(status=JobStatus.RUNNING, concurrency_key="stripe", claimed_at=ago(age))
    [gate] = reports()[0].gates
    assert (len(gate.holders), gate.jobs) == (2, 3)


def test_a_limit_whose_places_are_taken_is_full_though_nobody_waits(using: str) -> None:
    make_limit(using, max_running=3)
    held = {"status": JobStatus.RUNNING, "product": "acme", "concurrency_key": "stripe"}
    make_job(using, claimed_at=ago(90), cost=2, **held)
    assert (reports(using)[0].state, reports(using)[0].gates[0].full_since) == ("free", None)
    last = make_job(using, claimed_at=ago(60), **held)
    [report] = reports(using)
    assert (report.state, report.waiting) == ("full", 0)
    assert report.gates[0].full_since == last.claimed_at


@pytest.mark.parametrize("recorded", [None, 7_200, 30])
def test_it_is_full_since_a_sweep_found_it_so_or_since_the_oldest_waits(
    using: str, recorded: int | None
) -> None:
    make_limit(using, max_running=1)
    make_job(using, status=JobStatus.RUNNING, product="acme", concurrency_key="stripe", claimed_at=ago(5))
    oldest = blocked(using, "k:acme:stripe", product="acme", updated_at=ago(90))
    since = oldest.updated_at
    if recorded is not None:
        rows = FullGate.objects.using(using)
        row = rows.create(job_model="pleme_redis_django.job", gate="k:acme:stripe", since=ago(recorded))
        rows.create(job_model="shop.other", gate="k:acme:stripe", since=ago(90_000))
        row.refresh_from_db()
        since = min(since, row.since)
        assert (since == row.since) == (recorded == 7_200)
    [gate] = reports(using)[0].gates
    assert (gate.full_since, gate.waiting_since) == (since, oldest.updated_at)


def test_what_waits_is_counted_with_since_when(using: str) -> None:
    make_limit(using, name="customer", max_running=1)
    first = blocked(using, "k:acme:customer:7", product="acme", updated_at=ago(90))
    blocked(using, "k:acme:customer:7", product="acme", updated_at=ago(10))
    blocked(using, "k:acme:customer:8", product="acme")
    blocked(using, "o:acme:customer:7", product="acme", order_key="customer:7")
    [report] = reports(using)
    assert (report.state, report.waiting, report.gate_count) == ("full", 3, 2)
    fullest = report.gates[0]
    assert (fullest.gate.name, fullest.waiting, fullest.waiting_since) == ("customer:7", 2, first.updated_at)
    assert report.waiting_since == first.updated_at


def test_types_queues_and_products_have_limits_of_their_own(using: str) -> None:
    for kind, name in (("type", "shop.pack"), ("queue", "print"), ("product", "acme")):
        make_limit(using, kind=kind, name=name, max_running=2)
    make_job(using, status=JobStatus.RUNNING, product="acme", job_type="shop.pack", queue_name="print")
    make_job(using, status=JobStatus.RUNNING, product="acme", job_type="shop.other", queue_name="other")
    blocked(using, "p:acme", product="acme")
    blocked(using, "q:acme:print", product="acme")
    found = {report.limit.kind: (report.running, report.waiting) for report in reports(using)}
    assert found == {"type": (1, 0), "queue": (1, 1), "product": (2, 1)}


def test_a_limit_of_one_product_stands_before_that_of_every_one() -> None:
    make_limit(max_running=5)
    make_limit(max_running=1, product="acme")
    for product in ("acme", "blog"):
        make_job(status=JobStatus.RUNNING, product=product, concurrency_key="stripe")
    found = {report.limit.product: [gate.gate.product for gate in report.gates] for report in reports()}
    assert found == {"": ["blog"], "acme": ["acme"]}


def test_a_shared_limit_counts_all_products_together_and_is_told_to_those_who_see_all() -> None:
    make_limit(max_running=5, is_shared=True)
    for product in ("acme", "blog"):
        make_job(status=JobStatus.RUNNING, product=product, concurrency_key="stripe")
    blocked("default", "k::stripe", product="blog")
    [report] = reports()
    assert [(gate.gate.product, gate.running, gate.waiting) for gate in report.gates] == [("", 2, 1)]
    [report] = reports(scope=ProductScope(products=frozenset(["acme"])))
    assert (report.running, report.waiting, report.gates) == (0, 0, ())


def test_nothing_of_another_product_is_told() -> None:
    make_limit(max_running=5)
    make_limit(max_running=5, product="blog", name="secret")
    blocked("default", "k:blog:stripe", product="blog")
    blocked("default", "k:acme:stripe", product="acme")
    [report] = reports(scope=ProductScope(products=frozenset(["acme"])))
    assert (report.limit.name, report.waiting, report.gates[0].gate.product) == ("stripe", 1, "acme")
    assert limit_rows(ProductScope(products=frozenset())) == []


def test_no_job_of_another_product_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOLDERS_READ", 1)
    make_limit(max_running=5)
    held = {"status": JobStatus.RUNNING, "concurrency_key": "stripe"}
    make_job(product="blog", claimed_at=ago(90), **held)
    ours = make_job(product="acme", claimed_at=ago(30), **held)
    [report] = reports(scope=ProductScope(products=frozenset(["acme"])))
    assert [holder.job_id for gate in report.gates for holder in gate.holders] == [ours.pk]


@pytest.mark.parametrize(
    ("full_in", "tokens", "next_token"), [(-5, 4, None), (0.1, 3, 0.1), (1.9, 0, 0.4), (9, 0, 7.5)]
)
def test_tokens_come_back_one_after_the_other(full_in: float, tokens: int, next_token: float | None) -> None:
    limit = FlowLimit(rate=120, per_seconds=60, burst=4)
    assert tokens_of(limit, timedelta(seconds=full_in)) == (tokens, next_token and pytest.approx(next_token))


def test_tokens_are_those_of_the_databases_clock(using: str) -> None:
    limit = make_limit(using, rate=120, per_seconds=60, burst=4)
    gates = FlowGate.objects.using(using)
    gates.create(limit=limit, gate="k:acme:stripe", full_again_at=Now() + timedelta(hours=1))
    gates.create(limit=limit, gate="k:blog:stripe", full_again_at=Now())
    [report] = reports(using)
    found = {gate.gate.product: (gate.tokens, gate.next_token_seconds is None) for gate in report.gates}
    assert found == {"acme": (0, False), "blog": (4, True)}


def test_a_limit_of_none_is_a_pause() -> None:
    make_limit(max_running=0)
    assert [report.state for report in reports()] == ["paused"]


def test_what_waits_is_counted_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WAITING_COUNTED", 3)
    make_limit(max_running=1)
    for _ in range(5):
        blocked("default", "k:acme:stripe", product="acme")
    [report] = reports()
    assert (report.waiting, report.is_capped) == (3, True)


def test_a_limit_of_a_product_is_that_products_own() -> None:
    make_limit(kind="product", name="blog", max_running=5)
    for product, seen in (("acme", []), ("blog", ["blog"])):
        rows = limit_rows(ProductScope(products=frozenset([product])))
        assert [row.name for row in rows] == seen
    assert [row.name for row in limit_rows()] == ["blog"]
