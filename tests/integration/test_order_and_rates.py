"""Strict order and rates with real worker processes that are killed meanwhile."""

from __future__ import annotations

import os
import random
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django import Job
from pleme_redis_django.monitoring import why_waiting
from pleme_redis_django.operations import set_limit
from tests.faults.effects import effects_of, rows
from tests.faults.jobs import SOON_BACK, fail_at_first, record, wait_for_file
from tests.faults.tokens import given_tokens, most_in_window, tokens_recorded
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]

SEED = int(os.environ.get("PLEME_FAULT_SEED", "1"))
KILLS = 6
RATE, BURST = 40, 8
WINDOWS_SECONDS = (0.1, 1.0, 5.0)
# More than the longest window may have: past the rate, each of them has too many.
RATED_JOBS = 280
# Not by the due time: that of a head which was given back is another one now, and its place was not.
_OUT_OF_ORDER = """
WITH line AS (
    SELECT job.order_key, row_number() OVER (PARTITION BY job.order_key ORDER BY job.created_at, job.id) AS place,
           (SELECT max(at) FROM fault_transitions AS ending WHERE ending.job_id = job.id
              AND new_status IN ('COMPLETED', 'FAILED', 'CANCELLED')) AS ended,
           (SELECT min(at) FROM fault_effects AS effect WHERE effect.job_id = job.id) AS first_effect,
           (SELECT max(at) FROM fault_effects AS effect WHERE effect.job_id = job.id) AS last_effect
    FROM pleme_redis_django_job AS job WHERE job.order_key IS NOT NULL
)
SELECT order_key, older.place, younger.place FROM line AS older JOIN line AS younger USING (order_key)
WHERE older.place < younger.place
  AND younger.first_effect < GREATEST(COALESCE(older.ended, 'infinity'), older.last_effect)
"""


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
    return not Job.objects.exclude(status__in=("COMPLETED", "FAILED")).exists()


def out_of_order() -> list[tuple[Any, ...]]:
    """Return (key, place, place) of every two jobs of which the younger has begun too early.

    That is before the row of the older one has ended for good, or before its handler has left its last effect.
    """
    return rows(_OUT_OF_ORDER)


def test_a_burst_ends_while_jobs_wait_for_tokens(start_workers: StartWorkers) -> None:
    set_limit("key", "api", rate=1, per_seconds=86_400.0, burst=2)
    record.using(concurrency_key="api").enqueue_many([{"seconds": 0.0}] * 5)
    record.enqueue(seconds=0.0)
    workers = start_workers("--burst")
    assert workers.exit_code() == 0, workers.output()
    ended = Job.objects.filter(status="COMPLETED").values_list("concurrency_key", flat=True)
    assert sorted(map(str, ended)) == ["None", "api", "api"]
    first, _second, third = Job.objects.filter(status="BLOCKED").order_by("run_after", "id")
    told = "It waits for a token of the key api of default: 1 start in 1 d, and the next token comes in [^,]+"
    assert re.fullmatch(f"{told}[.]", why_waiting(first)[0].text)
    assert re.fullmatch(f"{told}, and 2 wait before it[.]", why_waiting(third)[0].text)


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
    for delay in range(2):
        for key in ("a", "b", "c", "d", "e"):
            record.using(order_key=key).enqueue_many([{"seconds": 0.02}] * 6)
            fail_at_first.using(order_key=key, base_retry_delay=delay).enqueue(failures=2 - delay)
            record.using(order_key=key).enqueue_many([{"seconds": 0.02}] * 4)
            fail_at_first.using(order_key=key, max_retries=1).enqueue(failures=3)
    kill_now_and_then(workers, KILLS)
    wait_for(
        everything_has_ended,
        "all jobs end",
        deadline_seconds=120,
        details=lambda: "\n".join(one.output() for one in workers),
    )
    assert out_of_order() == []
    failed = Job.objects.filter(status="FAILED").values_list("job_type", "retry_count")
    assert sorted(failed) == [(fail_at_first.name, 1)] * 10, (
        "the last of each round has failed, and held nobody up"
    )
    assert len({job_id for job_id, *_ in effects_of("begin")}) == 5 * 2 * 12


def test_a_zombie_at_the_head_passes_no_turn_on_past_its_lease(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    # The one that judges others is the first to have come.
    other = start_workers(pool={"queues": ["there"]}, environment=SOON_BACK)
    other.wait_for_output("worker started")
    first = start_workers(pool={"queues": ["here"]}, environment=SOON_BACK)
    here, there = {"order_key": "a", "queue_name": "here"}, {"order_key": "a", "queue_name": "there"}
    head = wait_for_file.using(**here).enqueue(f"{tmp_path}/{{attempt}}")
    younger = record.using(**there).enqueue_many([{}] * 3)
    ((*_, zombie),) = wait_for(lambda: effects_of("begin"), "the head begins", details=first.output)
    os.kill(zombie, signal.SIGSTOP)
    other.wait_for_output("rescued the jobs of dead workers jobs=1")
    os.kill(zombie, signal.SIGCONT)
    first.wait_for_output("was declared dead, continues as a new worker")
    wait_for(lambda: len(effects_of("begin")) > 1, "somebody begins", details=first.output)
    (tmp_path / "1").touch()
    first.wait_for_output("ended too late, its ending was refused")
    statuses = dict(Job.objects.values_list("id", "status"))
    assert statuses == {head.id: "RUNNING", **dict.fromkeys((job.id for job in younger), "BLOCKED")}
    for attempt in range(2, 10):  # What a zombie has claimed as it woke is given back.
        (tmp_path / str(attempt)).touch()
    wait_for(
        everything_has_ended, "all end", details=lambda: f"{list(Job.objects.values())} {effects_of('begin')}"
    )
    assert out_of_order() == []
    begun = [job_id for job_id, *_ in effects_of("begin")]
    assert begun[-3:] == [job.id for job in younger] and set(begun[:-3]) == {head.id}


@pytest.mark.long
@pytest.mark.usefixtures("tokens")
def test_no_more_start_than_the_rate_lets_while_processes_are_killed(start_workers: StartWorkers) -> None:
    set_limit("key", "api", rate=RATE, per_seconds=1.0, burst=BURST)
    workers = start_workers("--processes", "3", pool={"max_crashes": 1_000}, environment=SOON_BACK)
    record.using(concurrency_key="api").enqueue_many([{"seconds": 0.0}] * RATED_JOBS)
    kill_now_and_then([workers], KILLS // 2)
    wait_for(
        everything_has_ended,
        "all jobs end",
        deadline_seconds=120,
        details=workers.output,
    )
    given = given_tokens()
    most = {seconds: most_in_window(given, seconds) for seconds in WINDOWS_SECONDS}
    assert {seconds: count for seconds, count in most.items() if count > BURST + RATE * seconds} == {}
    begun = rows("SELECT at FROM fault_effects WHERE what = 'begin' ORDER BY at")
    for number, (at,) in enumerate(begun, start=1):
        assert number <= sum(granted for when, granted in given if when <= at), (
            "each start has a token of its own"
        )
