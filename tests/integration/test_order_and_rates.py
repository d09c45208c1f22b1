"""Strict order and rates with real worker processes that are killed meanwhile."""

from __future__ import annotations

import os
import random
import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django import Job
from pleme_redis_django.operations import set_limit
from tests.faults.effects import effects_of, rows
from tests.faults.jobs import SOON_BACK, record, wait_for_file
from tests.faults.tokens import given_tokens, most_in_window, tokens_recorded
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]

SEED = int(os.environ.get("PLEME_FAULT_SEED", "1"))
KILLS = 6
RATE, BURST = 100, 10


@pytest.fixture
def tokens(transactional_db: None) -> Iterator[None]:
    """The table of the tokens that are given."""
    with tokens_recorded():
        yield


def kill_now_and_then(workers: list[WorkerProcesses], kills: int) -> None:
    """Kill worker processes, each a few starts after the one before."""
    chosen = random.Random(SEED)
    for _ in range(kills):
        begun = len(effects_of("begin"))
        wait_for(
            lambda begun=begun: len(effects_of("begin")) >= begun + 5 or everything_has_ended(),
            "jobs go on",
            details=workers[0].output,
        )
        with suppress(IndexError, ProcessLookupError):  # Between two lives of a process.
            os.kill(chosen.choice(chosen.choice(workers).children()), signal.SIGKILL)


def everything_has_ended() -> bool:
    return not Job.objects.exclude(status="COMPLETED").exists()


def begun_of_keys() -> dict[str, list[tuple[datetime, str, Any]]]:
    """Return what began and ended in each order, as (when, what, place in the line)."""
    # Not by the due time: that of a head which was given back is another one now, and its place was not.
    line = Job.objects.order_by("created_at", "id").values_list("id", "order_key")
    place = {job_id: (key, number) for number, (job_id, key) in enumerate(line)}
    found: defaultdict[str, list[tuple[datetime, str, Any]]] = defaultdict(list)
    for at, what, job_id in rows("SELECT at, what, job_id FROM fault_effects ORDER BY at"):
        key, number = place[job_id]
        found[key].append((at, what, number))
    return found


def test_a_burst_ends_while_jobs_wait_for_tokens(start_workers: StartWorkers) -> None:
    set_limit("key", "api", rate=1, per_seconds=86_400.0, burst=2)
    record.using(concurrency_key="api").enqueue_many([{"seconds": 0.0}] * 5)
    record.enqueue(seconds=0.0)
    workers = start_workers("--burst")
    assert workers.exit_code() == 0, workers.output()
    ended = Job.objects.filter(status="COMPLETED").values_list("concurrency_key", flat=True)
    assert sorted(map(str, ended)) == ["None", "api", "api"]
    assert Job.objects.filter(status="BLOCKED").count() == 3


def test_a_number_that_is_changed_counts_in_a_process_that_runs(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    """As many run as the number says, after it is raised and after it is lowered, in the process that has begun."""

    def running() -> int:
        return Job.objects.filter(status="RUNNING").count()

    gates = [str(tmp_path / str(number)) for number in range(8)]
    set_limit("key", "api", max_running=1)
    wait_for_file.using(concurrency_key="api").enqueue_many([{"path": path} for path in gates])
    workers = start_workers("--worker-count", "8")
    for number, places in ((1, 1), (4, 4)):
        set_limit("key", "api", max_running=number)
        wait_for(lambda places=places: running() == places, f"{places} run", details=workers.output)
    begun = list(Job.objects.filter(status="RUNNING"))
    set_limit("key", "api", max_running=2)
    for place, ended in enumerate(begun, start=1):
        Path(ended.parameters["path"]).touch()
        wait_for(
            lambda ended=ended: Job.objects.get(pk=ended.pk).status == "COMPLETED",
            "one ends",
            details=workers.output,
        )
        if place < 3:
            assert running() == 4 - place, "nobody comes in the place of one above the number"
    wait_for(lambda: running() == 2, "two run", details=workers.output)
    for path in gates:
        Path(path).touch()
    wait_for(everything_has_ended, "all end", details=workers.output)
    assert workers.children(), "nobody has begun anew"


@pytest.mark.long
def test_jobs_of_a_key_never_run_out_of_order_while_processes_are_killed(start_workers: StartWorkers) -> None:
    workers = [
        start_workers("--processes", "2", pool={"max_crashes": 1_000}, environment=SOON_BACK)
        for _ in range(2)
    ]
    for _ in range(4):
        for key in ("a", "b", "c", "d", "e"):
            record.using(order_key=key).enqueue_many([{"seconds": 0.02}] * 6)
    kill_now_and_then(workers, KILLS)
    wait_for(
        everything_has_ended,
        "all jobs end",
        deadline_seconds=120,
        details=lambda: "\n".join(one.output() for one in workers),
    )
    events = begun_of_keys()
    assert {
        key: len({number for _at, _what, number in of_key}) for key, of_key in events.items()
    } == dict.fromkeys("abcde", 24)
    for of_key in events.values():
        for (_at, what, number), (_next_at, next_what, next_number) in pairwise(of_key):
            if next_number != number:
                assert (what, next_what) == ("end", "begin"), (
                    "the next begins after the end of the one before"
                )
                assert next_number > number, "in the order of the line"


@pytest.mark.long
@pytest.mark.usefixtures("tokens")
def test_no_more_start_than_the_rate_lets_while_processes_are_killed(start_workers: StartWorkers) -> None:
    set_limit("key", "api", rate=RATE, per_seconds=1.0, burst=BURST)
    workers = [
        start_workers("--processes", "2", pool={"max_crashes": 1_000}, environment=SOON_BACK)
        for _ in range(2)
    ]
    record.using(concurrency_key="api").enqueue_many([{"seconds": 0.0}] * 300)
    kill_now_and_then(workers, KILLS)
    wait_for(
        everything_has_ended,
        "all jobs end",
        deadline_seconds=120,
        details=lambda: "\n".join(one.output() for one in workers),
    )
    given = given_tokens()
    for seconds in (0.1, 1.0, 5.0):
        assert most_in_window(given, seconds) <= BURST + RATE * seconds, f"too many tokens in {seconds} s"
    begun = rows("SELECT at FROM fault_effects WHERE what = 'begin' ORDER BY at")
    for number, (at,) in enumerate(begun, start=1):
        assert number <= sum(granted for when, granted in given if when <= at), (
            "each start has a token of its own"
        )
