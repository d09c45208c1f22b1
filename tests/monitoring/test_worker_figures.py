"""The worker processes of a job table, as figures of those that a scope may see."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.monitoring.worker_figures import worker_figures
from tests.rows import ago, make_worker

pytestmark = pytest.mark.django_db
ACME = ProductScope(products=frozenset({"acme"}))


def test_each_process_is_in_one_state() -> None:
    make_worker(pid=1)
    make_worker(pid=2, draining_since=datetime(2026, 1, 1, tzinfo=UTC), drain_reason="its age")
    make_worker(pid=3, died_at=ago(5))
    assert {worker.pid: worker.state for worker in worker_figures()} == {1: "alive", 2: "draining", 3: "dead"}


def test_a_scope_sees_the_processes_of_its_products_and_the_shared_ones() -> None:
    make_worker(pid=1, product="acme")
    make_worker(pid=2, product="globex")
    make_worker(pid=3)
    seen = {worker.pid for worker in worker_figures(ACME)}
    assert 1 in seen and 2 not in seen
    assert (3 in seen) is ACME.sees_shared
