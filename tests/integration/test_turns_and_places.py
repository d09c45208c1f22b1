"""Turns and places in two live processes, whose store has no net: who makes one free lets the next one in by itself."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django import Job
from pleme_redis_django.models import FlowLimit
from pleme_redis_django.monitoring import why_waiting
from pleme_redis_django.operations import cancel_jobs, delete_jobs, retry_jobs, set_limit, skip_in_line
from tests.faults.effects import effects_of, most_at_once, rows
from tests.faults.jobs import fail_until, record, wait_and_fail, wait_for_file
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]

STORES = "tests.faults.limits.stores"
NETLESS = {"store": f"{STORES}.NetlessJobStore", "worker_count": 4}
STANDS_STILL = {**NETLESS, "store": f"{STORES}.InterruptedNetlessJobStore"}
AT_A_LIMIT, IN_A_LINE = {"concurrency_key": "api"}, {"order_key": "api"}
GATES = pytest.mark.parametrize("gate", [AT_A_LIMIT, IN_A_LINE], ids=["limit", "line"])


@pytest.fixture(autouse=True)
def limit(transactional_db: None) -> FlowLimit:
    return set_limit("key", "api", max_running=1)


@dataclasses.dataclass(slots=True, kw_only=True)
class Scene:
    """One that has the place, one behind it, and the process of each."""

    holder: Job
    behind: Job
    path: Path
    """What the holder waits for."""
    its_process: WorkerProcesses
    other: WorkerProcesses

    def output(self) -> str:
        return self.its_process.output() + self.other.output()

    def wait_for_status(self, job: Job, status: str) -> None:
        wait_for(lambda: Job.objects.get(pk=job.pk).status == status, f"{status}", details=self.output)


def only(job: Job) -> Any:
    return Job.objects.filter(pk=job.pk)


def wait_for_begins(count: int, *workers: WorkerProcesses) -> None:
    wait_for(
        lambda: len(effects_of("begin")) >= count,
        f"{count} attempts begin",
        details=lambda: "\n".join(one.output() for one in workers),
    )


def stage(
    start_workers: StartWorkers, path: Path, gate: dict[str, str], held_by: Any = wait_for_file
) -> Scene:
    """Have one run in one process until ``path`` exists, and another one wait for its place."""
    holder = held_by.using(**gate).enqueue(path=str(path))
    first = start_workers(pool={**NETLESS, "grace_seconds": 600})
    wait_for_begins(1, first)
    other = start_workers(pool=NETLESS)
    other.wait_for_output("worker started")
    # Of the higher priority: the holder that comes back does not overtake it.
    behind = record.using(**gate, priority=5).enqueue()
    scene = Scene(holder=holder, behind=behind, path=path, its_process=first, other=other)
    scene.wait_for_status(behind, "BLOCKED")
    (reason,) = why_waiting(Job.objects.get(pk=behind.pk))
    assert (reason.code, reason.jobs) == ("blocked", (holder.pk,)), "it says who holds its place"
    return scene


def is_cancelled(scene: Scene) -> None:
    cancel_jobs(only(scene.holder))


def is_deleted(scene: Scene) -> None:
    """It holds its place until its handler has ended, since nobody interrupts it."""
    delete_jobs(only(scene.holder))
    scene.path.touch()


@GATES
@pytest.mark.parametrize("leaves", [is_cancelled, is_deleted])
def test_the_place_of_one_that_runs_is_free_as_soon_as_it_has_left(
    start_workers: StartWorkers, tmp_path: Path, gate: dict[str, str], leaves: Callable[[Scene], None]
) -> None:
    scene = stage(start_workers, tmp_path / "path", gate)
    leaves(scene)
    scene.wait_for_status(scene.behind, "COMPLETED")
    assert most_at_once(next(iter(gate))) == {"api": 1}


@GATES
def test_one_that_has_failed_leaves_its_place_and_waits_for_it_when_it_is_retried(
    start_workers: StartWorkers, tmp_path: Path, gate: dict[str, str]
) -> None:
    fails = wait_and_fail.using(max_retries=0)
    scene = stage(start_workers, tmp_path / "path", gate, fails)
    then = tmp_path / "then"
    second = wait_for_file.using(**gate, priority=4).enqueue(path=str(then))
    scene.path.touch()
    scene.wait_for_status(scene.behind, "COMPLETED")
    scene.wait_for_status(second, "RUNNING")
    assert retry_jobs(only(scene.holder)) == 1
    scene.wait_for_status(scene.holder, "BLOCKED")
    then.touch()
    scene.wait_for_status(scene.holder, "FAILED")
    assert most_at_once(next(iter(gate))) == {"api": 1}
    assert [job_id for job_id, *_ in effects_of("begin")] == [
        scene.holder.pk,
        scene.behind.pk,
        second.pk,
        scene.holder.pk,
    ]


def test_the_place_of_one_that_is_tried_again_later_is_free_until_then(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    fails = wait_and_fail.using(base_retry_delay=3_600)
    scene = stage(start_workers, tmp_path / "path", AT_A_LIMIT, fails)
    scene.path.touch()
    scene.wait_for_status(scene.behind, "COMPLETED")
    assert Job.objects.get(pk=scene.holder.pk).status == "PENDING"


def test_a_head_that_is_tried_again_later_is_passed_when_an_operator_says_so(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    fails = wait_and_fail.using(base_retry_delay=3_600)
    scene = stage(start_workers, tmp_path / "path", IN_A_LINE, fails)
    scene.path.touch()
    scene.wait_for_status(scene.holder, "PENDING")
    assert Job.objects.get(pk=scene.behind.pk).status == "BLOCKED", "it holds its line"
    assert skip_in_line(Job.objects.get(pk=scene.holder.pk))
    scene.wait_for_status(scene.behind, "COMPLETED")
    assert Job.objects.get(pk=scene.holder.pk).status == "BLOCKED", "it waits for its time behind the others"


@GATES
def test_one_that_is_given_back_leaves_its_place_and_keeps_its_turn(
    start_workers: StartWorkers, tmp_path: Path, gate: dict[str, str]
) -> None:
    scene = stage(start_workers, tmp_path / "path", gate)
    for _ in range(2):  # The second one ends the grace.
        scene.its_process.signal(signal.SIGTERM)
        scene.its_process.wait_for_output("Draining")
    scene.its_process.exit_code()
    if gate is AT_A_LIMIT:
        scene.wait_for_status(scene.behind, "COMPLETED")
    else:
        wait_for_begins(2, scene.other)
    scene.path.touch()
    scene.wait_for_status(scene.behind, "COMPLETED")
    scene.wait_for_status(scene.holder, "COMPLETED")
    begun = [job_id for job_id, *_ in effects_of("begin")]
    again = [scene.behind.pk, scene.holder.pk] if gate is AT_A_LIMIT else [scene.holder.pk, scene.behind.pk]
    assert begun == [scene.holder.pk, *again]
    assert most_at_once(next(iter(gate))) == {"api": 1}


@GATES
@pytest.mark.parametrize("leaves", [is_cancelled, is_deleted])
def test_the_place_of_one_that_is_claimed_is_free_as_soon_as_it_has_left(
    start_workers: StartWorkers, tmp_path: Path, gate: dict[str, str], leaves: Callable[[Scene], None]
) -> None:
    """Its process stands between the claim and the admission meanwhile."""
    path, admission = tmp_path / "path", tmp_path / "admission"
    admission.mkdir()
    holder = wait_for_file.using(**gate).enqueue(path=str(path))
    first = start_workers(pool=STANDS_STILL, environment={"FAULT_ADMISSION": str(admission)})
    wait_for((admission / "reached").exists, "it claims", details=first.output)
    behind = record.using(**gate).enqueue()
    other = start_workers(pool=NETLESS)
    scene = Scene(holder=holder, behind=behind, path=path, its_process=first, other=other)
    scene.wait_for_status(behind, "BLOCKED")
    leaves(scene)
    (admission / "go").touch()
    scene.wait_for_status(behind, "COMPLETED")
    assert most_at_once(next(iter(gate))) == {"api": 1}


def test_a_limit_that_is_lowered_drains_down_to_it_in_two_processes(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    set_limit("key", "api", max_running=6)
    jobs = wait_for_file.using(**AT_A_LIMIT).enqueue_many(
        [{"path": str(tmp_path / str(number))} for number in range(12)]
    )
    workers = start_workers("--processes", "2", pool=NETLESS)
    wait_for_begins(6, workers)
    begun = effects_of("begin")
    assert len({pid for *_, pid in begun}) == 2, "both processes run some"
    set_limit("key", "api", max_running=2)
    for count, (job_id, *_) in enumerate(begun, 1):
        ended = Job.objects.get(pk=job_id)
        Path(ended.parameters["path"]).touch()
        wait_for(
            lambda ended=ended: Job.objects.get(pk=ended.pk).status == "COMPLETED",
            "it ends",
            details=workers.output,
        )
        # From the fifth on each leaves its place to another one, beside what still runs.
        wait_for_begins(6 + max(count - 4, 0), workers)
    for job in jobs:
        Path(job.parameters["path"]).touch()
    left = Job.objects.exclude(status="COMPLETED")
    wait_for(lambda: not left.exists(), "all end", details=workers.output)
    running, most_after_a_begin = 0, []
    for (what,) in rows("SELECT what FROM fault_effects ORDER BY at"):
        running += 1 if what == "begin" else -1
        if what == "begin":
            most_after_a_begin.append(running)
    assert most_after_a_begin[:6] == [1, 2, 3, 4, 5, 6]
    assert max(most_after_a_begin[6:]) == 2, "the next one begins once fewer than two run"


@pytest.mark.parametrize("ends", ["COMPLETED", "FAILED"])
def test_a_head_that_is_retried_holds_its_line_until_it_has_ended(
    start_workers: StartWorkers, tmp_path: Path, ends: str
) -> None:
    path = tmp_path / "path"
    attempts = 6
    retries = attempts - 1 if ends == "FAILED" else 1_000
    head = fail_until.using(**IN_A_LINE, max_retries=retries).enqueue(path=str(path))
    younger = record.using(**IN_A_LINE).enqueue_many([{}] * 3)
    urgent = record.using(**IN_A_LINE, priority=9).enqueue()
    workers = start_workers("--processes", "2", pool=NETLESS)
    wait_for_begins(attempts, workers)
    if ends == "COMPLETED":
        (reason,) = why_waiting(Job.objects.get(pk=younger[-1].pk))
        assert "its turn in the order api, and 3 wait before it. Before them, " in reason.text
        assert reason.jobs == (head.pk,)
        path.touch()
    wait_for(
        lambda: Job.objects.filter(status="COMPLETED", job_type=record.name).count() == 4,
        "the younger ones end",
        details=workers.output,
    )
    assert Job.objects.get(pk=head.pk).status == ends
    begun = rows("SELECT job_id, at FROM fault_effects WHERE what = 'begin' ORDER BY at")
    of_head = [at for job_id, at in begun if job_id == head.pk]
    assert len(of_head) >= attempts
    assert [job_id for job_id, _at in begun[len(of_head) :]] == [urgent.pk, *(job.pk for job in younger)]
    ((ended_at,),) = rows(
        "SELECT at FROM fault_transitions WHERE job_id = %s AND new_status = %s", [head.pk, ends]
    )
    assert begun[len(of_head)][1] > ended_at, "retries included"
