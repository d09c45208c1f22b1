"""django.tasks: enqueue, drain and latency of a task beside a @job, in turns; and what tasks cost other jobs."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

from tests.benchmarks import side_by_side
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import (
    drain_cpu,
    insert_ready_jobs,
    percentile,
    start_afresh,
    wait_until,
    worker_pids,
    worker_processes,
)

DRAINED = 20_000
DRAINS = 3
ENQUEUES_PER_SLICE = 100
SLICES = 12
DELAYS = 250
INTERVAL_SECONDS = 0.02
# A task costs at most a tenth more than a @job.
SHARE_OF_A_JOB = 110.0
LEAST_SHARE_OF_A_JOB = 90.0
SHARE_BESIDE_TASKS = 105.0
JOB, TASK = "tests.workload.jobs.noop", "tests.workload.tasks.noop"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """What a burst of two processes ran, and in which settings."""

    job_type: str
    with_tasks: bool


DRAINS_OF = {
    "@job, no TASKS": Drain(job_type=JOB, with_tasks=False),
    "@job beside tasks": Drain(job_type=JOB, with_tasks=True),
    "task": Drain(job_type=TASK, with_tasks=True),
}


def run(servers: BenchmarkServers) -> list[Row]:
    return [*_enqueue_rows(servers), *_drain_rows(servers), *_latency_rows(servers)]


def _enqueue_rows(servers: BenchmarkServers) -> Iterable[Row]:
    from tests.workload import jobs, tasks

    start_afresh(servers)
    spent = side_by_side.microseconds(
        {"@job": jobs.noop.enqueue, "task": tasks.noop.enqueue},
        slices=SLICES,
        per_slice=ENQUEUES_PER_SLICE,
    )
    for name, value in spent.items():
        yield Row(name=f"enqueue {name}", value=value, unit="us", note="row, then Redis hint")
    yield _share("enqueue, task of @job", spent["task"], spent["@job"])


def _drain_rows(servers: BenchmarkServers) -> Iterable[Row]:
    costs: dict[str, list[float]] = {name: [] for name in DRAINS_OF}
    rates: dict[str, list[float]] = {name: [] for name in DRAINS_OF}
    names = list(DRAINS_OF)
    for turn in range(DRAINS):
        # Each is first, second and last as often as it can be: the machine's drift meets all alike.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            cost, rate = _drain(servers, DRAINS_OF[name])
            costs[name].append(cost)
            rates[name].append(rate)
    for name in names:
        yield Row(
            name=f"drain {name}",
            value=median(rates[name]),
            unit="1/s",
            note=f"{DRAINED:,} no-ops, 2 processes",
        )
        note = f"a job; {min(costs[name]):,.1f} to {max(costs[name]):,.1f} in {DRAINS} drains"
        yield Row(name=f"worker CPU {name}", value=median(costs[name]), unit="us", note=note)
    job, beside, task = (median(costs[name]) for name in DRAINS_OF)
    shares = [100 * one / of for one, of in zip(rates["task"], rates["@job beside tasks"], strict=True)]
    yield Row(name="drain, task of @job", value=median(shares), unit="%", target=LEAST_SHARE_OF_A_JOB)
    yield _share("worker CPU, task of @job", task, beside)
    yield _share("worker CPU, @job beside tasks", beside, job, SHARE_BESIDE_TASKS)


def _drain(servers: BenchmarkServers, drain: Drain) -> tuple[float, float]:
    from tests.workload import tasks

    environment = dict(servers.environment)
    if not drain.with_tasks:
        environment["WITHOUT_TASKS"] = "1"
    insert = insert_ready_jobs if drain.job_type == JOB else functools.partial(_insert_tasks, tasks.noop)
    return drain_cpu(dataclasses.replace(servers, environment=environment), insert, DRAINED)


def _insert_tasks(task: Any, count: int) -> None:
    """Store a task so many times, as its enqueue does, in a statement: the API has no bulk enqueue.

    All appear at once, as the jobs do: a first one that ends before the others are there begins the drain too early.
    """
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        first = task.enqueue()
        cursor.execute(
            "INSERT INTO pleme_redis_django_job"
            " (id, product, job_type, queue_name, priority, status, parameters, max_retries, configuration)"
            " SELECT uuidv7(), product, job_type, queue_name, priority, 'QUEUED', parameters, max_retries,"
            " configuration"
            " FROM pleme_redis_django_job, generate_series(2, %s) WHERE id = %s",
            [count, first.id],
        )


def _latency_rows(servers: BenchmarkServers) -> Iterable[Row]:
    from tests.workload import jobs, tasks

    start_afresh(servers)
    ways: dict[str, Callable[..., Any]] = {
        "@job": jobs.measure_delay.enqueue,
        "task": tasks.measure_delay.enqueue,
    }
    with worker_processes(servers, "default", "--processes", "2"):
        wait_until(lambda: len(worker_pids()) == 2, "the workers register")
        for enqueue in ways.values():
            enqueue(sent_at=time.time())
        wait_until(lambda: _completed() == len(ways), "the first ones end, which compile their statements")
        sent = _enqueue_in_turns(ways)
        wait_until(lambda: _completed() == len(ways) + len(sent), "every job ends")
    delays = _delays(sent)
    for name, found in delays.items():
        yield Row(
            name=f"enqueue to start {name}, p50",
            value=percentile(found, 0.5),
            unit="ms",
            note="in turns, 50/s",
        )
        yield Row(name=f"enqueue to start {name}, p99", value=percentile(found, 0.99), unit="ms")
    yield _share(
        "enqueue to start, task of @job", percentile(delays["task"], 0.5), percentile(delays["@job"], 0.5)
    )


def _enqueue_in_turns(ways: dict[str, Callable[..., Any]]) -> dict[str, str]:
    """Enqueue at absolute times, one way after the other; return which job was enqueued which way."""
    sent = {}
    begin = time.perf_counter()
    for number in range(DELAYS):
        for turn, (name, enqueue) in enumerate(ways.items()):
            due = begin + (number * len(ways) + turn) * INTERVAL_SECONDS
            time.sleep(max(due - time.perf_counter(), 0))
            sent[str(enqueue(sent_at=time.time()).id)] = name
    return sent


def _delays(sent: dict[str, str]) -> dict[str, list[float]]:
    from pleme_redis_django.models import Job

    delays: dict[str, list[float]] = {}
    for job_id, seconds in Job.objects.filter(id__in=sent).values_list("id", "results"):
        delays.setdefault(sent[str(job_id)], []).append(1000 * seconds)
    return delays


def _completed() -> int:
    from pleme_redis_django.models import Job

    return Job.objects.filter(status="COMPLETED").count()


def _share(name: str, value: float, of: float, most: float = SHARE_OF_A_JOB) -> Row:
    return Row(name=name, value=100 * value / of, unit="%", target=most, at_least=False)
