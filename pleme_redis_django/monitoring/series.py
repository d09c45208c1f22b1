"""What the charts draw, read from rollups: at most some 400 rows of one queue, one product or everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from django.db.models import Q
from django.utils import timezone

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.conf import get_settings
from pleme_redis_django.metrics.histogram import percentile
from pleme_redis_django.metrics.rollups import FINER, FINEST, RollupStore, floor, read
from pleme_redis_django.metrics.tally import Tally
from pleme_redis_django.models import AbstractJob, Job, model_label
from pleme_redis_django.monitoring.figures import Series
from pleme_redis_django.monitoring.spans import CHART_SPANS, ChartSpan

N = TypeVar("N")


def series(
    scope: ProductScope = EVERY_PRODUCT,
    span: ChartSpan = "1h",
    *,
    product: str | None = None,
    queue: str | None = None,
    model: type[AbstractJob] = Job,
) -> Series:
    """Return the charts of a span: of a queue, of a product, or of all that the scope allows.

    A product outside the scope has no jobs to show. Raises KeyError for a span that is not in ``CHART_SPANS``.
    A scope of several products reads a row of each of them a step.
    """
    length, step = CHART_SPANS[span].seconds, CHART_SPANS[span].step_seconds
    now = timezone.now().timestamp()
    begin = floor(now, step) - length + step
    store = RollupStore(job_model=model_label(model), using=get_settings().database)
    steps, measured = _steps(store, _of(scope, product, queue), step, begin)
    times = tuple(range(begin, begin + length, step))
    return _series(span, step, times, [steps.get(at, _NOTHING) if at in measured else None for at in times])


_NOTHING = Tally()


def _of(scope: ProductScope, product: str | None, queue: str | None) -> Q:
    """Return which rows add up to the requested series."""
    if product is not None:
        wanted = Q(product=product) if scope.allows(product) else Q(pk__in=[])
    elif scope.products is not None:
        wanted = Q(product__in=sorted(scope.products))
    else:
        # A queue name of every product has no row of its own.
        wanted = Q(product="") if queue is None else ~Q(product="")
    return wanted & Q(queue_name=queue or "")


def _steps(store: RollupStore, wanted: Q, step: int, begin: int) -> tuple[dict[int, Tally], set[int]]:
    """Return the tallies by step, and which steps were measured.

    A step that is not put together yet is read from the finer ones; those that are there win.
    """
    steps: dict[int, Tally] = {}
    measured: set[int] = set()
    since = begin
    for resolution in _resolutions(step):
        rows = store.rows(resolution).filter(started_at__gte=since)
        ends = set(rows.filter(product="", queue_name="").values_list("started_at", flat=True))
        by_time: dict[int, Tally] = {}
        for (started_at, _key), tally in read(rows.filter(wanted)).items():
            by_time.setdefault(started_at, Tally()).add_queue(tally)
        for started_at, tally in by_time.items():
            steps.setdefault(floor(started_at, step), Tally()).add(tally)
        measured |= {floor(at, step) for at in ends}
        since = max([since, *(at + resolution for at in ends)])
    return steps, measured


def _resolutions(step: int) -> Iterable[int]:
    while step != FINEST:
        yield step
        step = FINER[step]
    yield FINEST


def _series(span: ChartSpan, step: int, times: tuple[int, ...], steps: list[Tally | None]) -> Series:
    def drawn(value_of: Callable[[Tally], N]) -> tuple[N | None, ...]:
        return tuple(None if tally is None else value_of(tally) for tally in steps)

    return Series(
        span=span,
        step_seconds=step,
        times=times,
        ok=drawn(lambda tally: tally.completed),
        retried=drawn(lambda tally: tally.retried),
        failed=drawn(lambda tally: tally.failed),
        wait_p50=drawn(lambda tally: percentile(tally.waits, 0.5)),
        wait_p95=drawn(lambda tally: percentile(tally.waits, 0.95)),
        run_p50=drawn(lambda tally: percentile(tally.runs, 0.5)),
        run_p95=drawn(lambda tally: percentile(tally.runs, 0.95)),
        ready=drawn(lambda tally: tally.ready),
        running=drawn(lambda tally: tally.running),
        blocked=drawn(lambda tally: tally.blocked),
    )
