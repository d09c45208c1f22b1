"""The charts: each point is what the rollups hold, and a gap is a gap."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.metrics.histogram import bucket_of, middle_of
from pleme_redis_django.metrics.rollups import RollupStore, floor
from pleme_redis_django.metrics.tally import Tally, with_totals
from pleme_redis_django.models import QueueRollup
from pleme_redis_django.monitoring.series import series
from pleme_redis_django.monitoring.spans import CHART_SPANS
from tests.metrics.measuring import LABEL

pytestmark = pytest.mark.django_db

STORE = RollupStore(job_model=LABEL, using="default")
SHOP = ProductScope(products=frozenset({"shop"}))


def fill(begin: float, end: float) -> None:
    """Write a measurement of three queues every ten seconds."""
    for at in range(floor(begin, 10), floor(end, 10), 10):
        tallies = {
            ("shop", "emails"): Tally(completed=3, failed=1, waits=Counter({bucket_of(2): 4}), ready=7),
            ("shop", "images"): Tally(
                completed=5, retried=2, runs=Counter({bucket_of(60): 5}), running=2, blocked=4
            ),
            ("blog", "emails"): Tally(completed=11, ready=100),
        }
        STORE.add({(at, key): one for key, one in with_totals(tallies).items()})


@pytest.mark.parametrize("span", list(CHART_SPANS))
def test_a_span_has_its_steps_and_ends_now(span: str) -> None:
    length, step = CHART_SPANS[span].seconds, CHART_SPANS[span].step_seconds
    began = time.time()
    drawn = series(span=span)
    assert floor(began, step) <= drawn.times[-1] <= floor(time.time(), step)
    assert (drawn.step_seconds, len(drawn.times)) == (step, length // step)
    assert {b - a for a, b in zip(drawn.times, drawn.times[1:], strict=False)} == {step}
    assert set(drawn.ok) == {None}
    payload = drawn.as_json()
    assert {len(values) for key, values in payload.items() if isinstance(values, list)} == {length // step}


def test_points_are_what_the_rollups_hold() -> None:
    now = time.time()
    fill(now - 600, now)
    drawn = series()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT started_at, sum(completed), sum(retried), sum(failed), max(ready), max(running), max(blocked)"
            " FROM pleme_redis_django_queuerollup WHERE step_seconds = 10 AND product = '' GROUP BY 1"
        )
        expected = {row[0]: tuple(map(int, row[1:])) for row in cursor.fetchall()}
    points = zip(
        drawn.ok, drawn.retried, drawn.failed, drawn.ready, drawn.running, drawn.blocked, strict=True
    )
    found = {at: point for at, point in zip(drawn.times, points, strict=True) if point[0] is not None}
    assert len(found) >= 59
    assert found == {at: expected[at] for at in found}


@pytest.mark.parametrize("span", ["6h", "24h", "7d"])
def test_what_is_not_put_together_yet_is_drawn_all_the_same(span: str) -> None:
    now = time.time()
    fill(now - 3_000, now)
    written = QueueRollup.objects.filter(step_seconds=10, product="", queue_name="").count()
    assert sum(each or 0 for each in series(span=span).ok) == 19 * written
    STORE.roll_up(now)
    assert QueueRollup.objects.filter(step_seconds=600).exists()
    assert sum(each or 0 for each in series(span=span).ok) == 19 * written


def test_a_product_and_a_queue_have_their_own_charts() -> None:
    now = time.time()
    fill(now - 60, now + 30)  # However long the machine takes until it asks.

    def last(scope: ProductScope, product: str | None = None, queue: str | None = None) -> tuple[object, ...]:
        drawn = series(scope, product=product, queue=queue)
        return drawn.ok[-2], drawn.ready[-2]

    assert last(EVERY_PRODUCT) == (19, 107)
    assert last(EVERY_PRODUCT, "shop") == (8, 7)
    assert last(EVERY_PRODUCT, "shop", "images") == (5, 0)
    assert last(EVERY_PRODUCT, queue="emails") == (14, 107)
    assert last(SHOP) == (8, 7)
    assert last(SHOP, "shop", "emails") == (3, 7)
    assert last(SHOP, queue="emails") == (3, 7)
    assert last(SHOP, "blog") == last(SHOP, "blog", "emails") == (0, 0)
    assert last(ProductScope(products=frozenset())) == (0, 0)


def test_percentiles_are_of_all_the_queues_of_a_chart() -> None:
    now = time.time()
    fill(now - 60, now + 30)  # However long the machine takes until it asks.
    drawn = series(SHOP, product="shop")
    assert drawn.wait_p95[-2] == pytest.approx(middle_of(bucket_of(2)), rel=1e-4)
    assert drawn.run_p50[-2] == pytest.approx(middle_of(bucket_of(60)), rel=1e-4)
    assert series(product="blog").run_p50[-2] is None


def test_an_unknown_span_is_refused() -> None:
    with pytest.raises(KeyError):
        series(span="2h")


def test_a_chart_reads_a_row_a_step_and_asks_the_same_number_of_times() -> None:
    def queries(span: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            series(span=span)
        return len(captured)

    before = {span: queries(span) for span in CHART_SPANS}
    now = time.time()
    fill(now - 3_600, now)
    STORE.roll_up(now)
    assert {span: queries(span) for span in CHART_SPANS} == before
    assert max(before.values()) == 8
