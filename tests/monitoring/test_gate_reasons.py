"""Why a BLOCKED job waits: what it says of limits, rates and lines, and which jobs it names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import FlowGate, FlowLimit
from pleme_redis_django.monitoring import WaitReason, why_waiting
from pleme_redis_django.operations import set_limit
from tests.rows import BACKENDS, ago, make_job, make_worker
from tests.workload.jobs import noop

pytestmark = pytest.mark.django_db(databases=BACKENDS)


@pytest.fixture(params=BACKENDS)
def using(request: pytest.FixtureRequest) -> str:
    make_worker(request.param)
    return str(request.param)


def blocked(using: str, gate: str, **fields: Any) -> Any:
    values = {"job_type": noop.name, "product": "acme", "run_after": ago(9), **fields}
    return make_job(using, status=JobStatus.BLOCKED, blocked_on=gate, **values)


def only(job: Any, **known: Any) -> WaitReason:
    [reason] = why_waiting(job, **known)
    assert reason.code == "blocked"
    return reason


@pytest.mark.parametrize(
    ("kind", "name", "gate", "said"),
    [
        ("key", "stripe", "k:acme:stripe", "the key stripe of acme"),
        ("key", "customer", "k:acme:customer:7", "the key customer:7 of acme"),
        ("type", "tests.noop", "t:acme:tests.noop", "the job type tests.noop of acme"),
        ("queue", "print", "q:acme:print", "the queue print of acme"),
        ("product", "acme", "p:acme", "the product acme"),
    ],
)
def test_a_full_limit_is_named_with_those_who_hold_it(
    using: str, kind: str, name: str, gate: str, said: str
) -> None:
    set_limit(kind, name, max_running=3, using=using)
    key = gate.split(":", 2)[2] if kind == "key" else None
    held = {"product": "acme", "job_type": "tests.noop", "queue_name": "print", "concurrency_key": key}
    holder = make_job(using, status=JobStatus.RUNNING, cost=3, **held)
    others = {"product": "blog", "job_type": "x", "queue_name": "y", "concurrency_key": "z"}
    make_job(using, status=JobStatus.RUNNING, **others)
    blocked(using, gate, run_after=ago(60))
    reason = only(blocked(using, gate))
    assert f"3 of the 3 of {said} are taken, and 1 waits before it." in reason.text
    assert reason.jobs == (holder.pk,)


def test_a_shared_limit_names_no_job_of_another_product(using: str) -> None:
    FlowLimit.objects.using(using).create(
        job_model="pleme_redis_django.job",
        kind="key",
        name="stripe",
        source="code",
        max_running=2,
        is_shared=True,
    )
    ours = make_job(using, status=JobStatus.RUNNING, product="acme", concurrency_key="stripe")
    make_job(using, status=JobStatus.RUNNING, product="blog", concurrency_key="stripe")
    reason = only(blocked(using, "k::stripe"), scope=ProductScope(products=frozenset(["acme"])))
    assert "2 of the 2" in reason.text and reason.jobs == (ours.pk,)


def test_a_pause_says_who_and_why(using: str) -> None:
    set_limit("key", "stripe", max_running=0, changed_by="ada", reason="Stripe is away", using=using)
    assert "by ada: Stripe is away" in only(blocked(using, "k:acme:stripe")).text


def test_a_rate_says_when_the_next_token_comes(using: str) -> None:
    limit = set_limit("key", "stripe", rate=1, per_seconds=3600, burst=1, using=using)
    full_again_at = Now() + timedelta(minutes=59, seconds=30)
    FlowGate.objects.using(using).create(limit=limit, gate="k:acme:stripe", full_again_at=full_again_at)
    assert "1 start in 1 h, and the next token comes in 59 m" in only(blocked(using, "k:acme:stripe")).text


def test_a_place_that_is_free_and_a_limit_that_is_gone_say_so(using: str) -> None:
    assert "is gone" in only(blocked(using, "k:acme:stripe")).text
    set_limit("key", "stripe", max_running=2, rate=None, using=using)
    assert "has a place for it" in only(blocked(using, "k:acme:stripe")).text


def test_a_line_names_the_job_whose_turn_it_is(using: str) -> None:
    line = {"order_key": "order:7", "product": "acme"}
    fields = {"status": JobStatus.PENDING, "attempt": 1, "retry_count": 1, "run_after": ago(-60)}
    head = make_job(using, job_type="shop.pack", **fields, **line)
    first, second = (blocked(using, "o:acme:order:7", order_key="order:7") for _ in range(2))
    assert only(first).text == (
        "It waits for its turn in the order order:7: shop.pack comes before it, and is pending, retry 1 of 3."
    )
    reason = only(second)
    assert "1 waits before it. Before them, shop.pack is pending" in reason.text
    assert reason.jobs == (head.pk,)
    head.delete()
    assert only(first).jobs == ()


def test_those_who_hold_a_limit_besides_the_named_ones_are_counted(using: str) -> None:
    set_limit("key", "stripe", shared=True, max_running=8, using=using)
    held = {"status": JobStatus.RUNNING, "concurrency_key": "stripe"}
    ours = [make_job(using, product="acme", claimed_at=ago(90 - each), **held).pk for each in range(7)]
    make_job(using, product="blog", claimed_at=ago(100), **held)
    waiting = blocked(using, "k::stripe")
    reason = only(waiting, scope=ProductScope(products=frozenset(["acme"])))
    assert (reason.jobs, reason.more_jobs) == (tuple(ours[:5]), 2)
    assert only(waiting).more_jobs == 3
