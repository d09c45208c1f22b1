"""Middleware: what one that does nothing, and RequestContext, cost a drain, an attempt and an enqueue, in turns."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from contextlib import contextmanager
from statistics import median
from typing import Any

from tests.benchmarks import side_by_side
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import drain_cpu, insert_ready_jobs, start_afresh

DRAINED = 20_000
DRAINS = 3
ENQUEUES_PER_SLICE = 50
SLICES = 20
# The bounds: a middleware that does nothing takes at most 3 % of a drain, and of an enqueue.
LEAST_SHARE, MOST_SHARE = 97.0, 103.0
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
    costs: dict[str, list[float]] = {name: [] for name in LISTED}
    names = list(LISTED)
    for turn in range(DRAINS):
        # Each is first, second and last as often as it can be: the machine's drift meets all alike.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            cost, rate = _drain(servers, name)
            costs[name].append(cost)
            rates[name].append(rate)
    for name in names:
        found, spent = rates[name], costs[name]
        note = (
            f"{DRAINED:,} no-op jobs, 2 processes; {min(found):,.0f} to {max(found):,.0f} in {DRAINS} drains"
        )
        yield Row(name=f"drain, {name}", value=median(found), unit="1/s", note=note)
        note = f"a job; {min(spent):,.1f} to {max(spent):,.1f}"
        yield Row(name=f"worker CPU, {name}", value=median(spent), unit="us", note=note)
    share = 100 * median(rates[NOTHING]) / median(rates[NONE])
    yield Row(name="drain, one that does nothing of none", value=share, unit="%", target=LEAST_SHARE)
    share = 100 * median(costs[NOTHING]) / median(costs[NONE])
    yield Row(name="worker CPU, one that does nothing of none", value=share, unit="%")


def _drain(servers: BenchmarkServers, name: str) -> tuple[float, float]:
    overrides = json.loads(servers.environment.get("PLEME_REDIS_OVERRIDES", "{}"))
    overrides |= {"MIDDLEWARE": LISTED[name]}
    environment = {**servers.environment, "PLEME_REDIS_OVERRIDES": json.dumps(overrides)}
    return drain_cpu(dataclasses.replace(servers, environment=environment), insert_ready_jobs, DRAINED)


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
    # Slice by slice: the machine is slower for seconds at a time, and then for both.
    shares = [100 * one / of for one, of in zip(spent[NOTHING], spent[NONE], strict=True)]
    name = "enqueue, one that does nothing of none"
    yield Row(name=name, value=median(shares), unit="%", target=MOST_SHARE, at_least=False)


@contextmanager
def _listed(name: str) -> Any:
    from django.conf import settings
    from django.test import override_settings

    with override_settings(PLEME_REDIS={**settings.PLEME_REDIS, "MIDDLEWARE": LISTED[name]}):
        yield
