"""Middleware: what one that does nothing, and RequestContext, cost a drain, an attempt and an enqueue, in turns."""

from __future__ import annotations

import dataclasses
import json
import resource
from collections.abc import Iterable
from contextlib import contextmanager
from statistics import median
from typing import Any

from tests.benchmarks import side_by_side
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import completion_rate, run_burst, settle, start_afresh

DRAINED = 10_000
DRAINS = 3
ENQUEUES_PER_SLICE = 60
SLICES = 10
# The bound: a middleware that does nothing takes at most 3 % of a drain.
LEAST_SHARE = 97.0
NONE, NOTHING, REQUEST = "no middleware", "one that does nothing", "RequestContext"
LISTED = {
    NONE: [],
    NOTHING: ["tests.middleware.classes.Nothing"],
    REQUEST: ["pleme_redis_django.middleware.RequestContext"],
}


def run(servers: BenchmarkServers) -> list[Row]:
    return [*_drain_rows(servers), *_enqueue_rows(servers)]


def _drain_rows(servers: BenchmarkServers) -> Iterable[Row]:
    rates: dict[str, list[float]] = {name: [] for name in LISTED}
    seconds: dict[str, list[float]] = {name: [] for name in LISTED}
    idle = min(_worker_seconds(servers, name, 0) for name in LISTED)
    names = list(LISTED)
    for turn in range(DRAINS):
        # Each is first, second and last as often as it can be: the machine's drift meets all alike.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            seconds[name].append(_worker_seconds(servers, name, DRAINED) - idle)
            rates[name].append(completion_rate(DRAINED))
    costs = {name: 1e6 * median(found) / DRAINED for name, found in seconds.items()}
    for name, found in rates.items():
        note = (
            f"{DRAINED:,} no-op jobs, 2 processes; {min(found):,.0f} to {max(found):,.0f} in {DRAINS} drains"
        )
        yield Row(name=f"drain, {name}", value=median(found), unit="1/s", note=note)
        yield Row(
            name=f"worker CPU, {name}", value=costs[name], unit="us", note="a job, over an idle burst's"
        )
    share = 100 * median(rates[NOTHING]) / median(rates[NONE])
    yield Row(name="drain, one that does nothing of none", value=share, unit="%", target=LEAST_SHARE)
    yield Row(
        name="worker CPU, one that does nothing of none", value=100 * costs[NOTHING] / costs[NONE], unit="%"
    )


def _worker_seconds(servers: BenchmarkServers, name: str, count: int) -> float:
    """Return the CPU seconds of the worker processes that run so many jobs to their end."""
    from tests.workload.jobs import noop

    start_afresh(servers)
    noop.enqueue_many({} for _ in range(count))
    settle()
    overrides = json.loads(servers.environment.get("PLEME_REDIS_OVERRIDES", "{}"))
    overrides |= {"MIDDLEWARE": LISTED[name]}
    environment = {
        **servers.environment,
        "PLEME_REDIS_OVERRIDES": json.dumps(overrides),
    }
    before = _children_seconds()
    run_burst(dataclasses.replace(servers, environment=environment), "--processes", "2")
    return _children_seconds() - before


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _enqueue_rows(servers: BenchmarkServers) -> Iterable[Row]:
    from tests.workload.jobs import noop

    start_afresh(servers)
    spent: dict[str, list[float]] = {name: [] for name in LISTED}
    for _ in range(SLICES):
        for name in LISTED:
            with _listed(name):
                found = side_by_side.microseconds(
                    {name: noop.enqueue}, slices=1, per_slice=ENQUEUES_PER_SLICE
                )
            spent[name].append(found[name])
    for name, values in spent.items():
        note = f"row, then Redis hint; {min(values):,.0f} to {max(values):,.0f}"
        yield Row(name=f"enqueue, {name}", value=median(values), unit="us", note=note)


@contextmanager
def _listed(name: str) -> Any:
    from django.conf import settings
    from django.test import override_settings

    with override_settings(PLEME_REDIS={**settings.PLEME_REDIS, "MIDDLEWARE": LISTED[name]}):
        yield
