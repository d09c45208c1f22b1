"""Limits while processes are killed: never more than a limit run, and nobody waits for ever.

The suite kills 12 processes; with ``PLEME_FAULT_KILLS``, a fifth as many, since each one lets somebody get on with the
jobs first. ``PLEME_FAULT_SEED`` is the seed of the plan.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import time
from pathlib import Path

import pytest

from pleme_redis_django import Job
from pleme_redis_django.enqueueing.pools import hint_namespace
from pleme_redis_django.models import FlowLimit, WorkerProcess
from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints
from tests.faults.effects import LEFT_RUNNING, effects_of, most_at_once, rows
from tests.faults.jobs import SOON_BACK, record, record_async
from tests.faults.limits.jobs import (
    KEY_LIMIT,
    TYPE_LIMIT,
    hold_limited,
    record_limited,
    record_limited_async,
)
from tests.integration.conftest import StartWorkers
from tests.orm_store.dialects.postgresql.test_flow_locks import KEYS as KEYS_OF_BOTH
from tests.orm_store.dialects.postgresql.test_flow_locks import deadlocks, fill, hold_some_locks
from tests.rows import make_job
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses

IN_WORKERS = {"DJANGO_SETTINGS_MODULE": "tests.faults.limits.settings"}
pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]

KILLS = int(os.environ.get("PLEME_FAULT_KILLS", "60")) // 5
SEED = int(os.environ.get("PLEME_FAULT_SEED", "1"))
KEYS = ("a", "b", "c")
BACKLOG = 60
PAUSE_SECONDS = (0.2, 0.6)
WAKE_SECONDS = 10.0


def begun() -> int:
    ((count,),) = rows("SELECT count(*) FROM fault_effects WHERE what = 'begin'")
    return count


def unfinished() -> int:
    return Job.objects.exclude(status="COMPLETED").count()


def supply(chosen: random.Random) -> None:
    record_limited.enqueue_many(
        {"key": chosen.choice(KEYS), "seconds": chosen.choice([0, 0.005, 0.03])} for _ in range(20)
    )
    record_limited_async.enqueue_many(
        {"key": chosen.choice(KEYS), "seconds": chosen.choice([0, 0.02])} for _ in range(10)
    )


def kill_one(hosts: list[WorkerProcesses], chosen: random.Random) -> int:
    """Kill a process that has begun to claim; return how many were killed."""
    known = set(WorkerProcess.objects.filter(died_at=None).values_list("pid", flat=True))
    victims = [pid for host in hosts for pid in host.children() if pid in known]
    if not victims:
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(chosen.choice(victims), signal.SIGKILL)
    return 1


def test_no_more_than_a_limit_run_while_processes_are_killed(start_workers: StartWorkers) -> None:
    chosen, killed = random.Random(SEED), 0
    start = functools.partial(start_workers, "--processes", "2", environment={**IN_WORKERS, **SOON_BACK})
    hosts = [start(pool={"max_crashes": 1_000}) for _ in range(2)]
    next_kill, deadline = time.monotonic() + 1, time.monotonic() + 60 + 5 * KILLS
    # Killed as soon as it claims, each of them, no process would ever end a job.
    begun_before = 0

    def may_kill() -> bool:
        return time.monotonic() >= next_kill and begun() > begun_before

    while killed < KILLS:
        assert time.monotonic() < deadline, "\n".join(host.output()[-3000:] for host in hosts)
        if unfinished() < BACKLOG:
            supply(chosen)
        if may_kill():
            begun_before = begun()
            killed += kill_one(hosts, chosen)
            next_kill = time.monotonic() + chosen.uniform(*PAUSE_SECONDS)
        wait_for(
            lambda: may_kill() or unfinished() < BACKLOG,
            "a kill is due, or more jobs are",
            deadline_seconds=60,
            details=hosts[0].output,
        )
    wait_for(
        lambda: not unfinished(),
        "every job ends",
        deadline_seconds=120,
        details=lambda: (
            f"{list(Job.objects.exclude(status='COMPLETED').values_list('status', 'blocked_on'))}"
        ),
    )
    of_keys = most_at_once("concurrency_key")
    assert of_keys.keys() == {f"fault:{key}" for key in KEYS}
    assert max(of_keys.values()) <= KEY_LIMIT
    assert most_at_once("job_type")[record_limited.name] <= TYPE_LIMIT
    assert FlowLimit.objects.count() == 2
    assert rows("SELECT 1 FROM fault_transitions WHERE new_status = 'BLOCKED' LIMIT 1"), "somebody has waited"


def test_nobody_is_forgotten_where_no_process_dies_and_no_net_is_below(start_workers: StartWorkers) -> None:
    """Whoever ends a job and whoever steps back look at each other: the duty for overlooked jobs finds nobody."""
    chosen = random.Random(SEED)
    for _ in range(6):
        supply(chosen)
    hosts = [start_workers("--processes", "2", environment=IN_WORKERS) for _ in range(2)]
    wait_for(
        lambda: not unfinished(), "every job ends", deadline_seconds=120, details=lambda: hosts[0].output()
    )
    assert max(most_at_once("concurrency_key").values()) <= KEY_LIMIT
    assert not any("let in jobs that waited although nothing held them" in host.output() for host in hosts)


def test_a_zombie_holds_its_places_until_its_lease_is_over_and_lets_nobody_in_afterwards(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    of_zombie, of_others = tmp_path / "of_zombie", tmp_path / "of_others"
    # The one that judges others is the first to have come.
    other = start_workers(pool={"queues": ["there"]}, environment={**IN_WORKERS, **SOON_BACK})
    other.wait_for_output("worker started")
    first = start_workers(pool={"queues": ["here"]}, environment={**IN_WORKERS, **SOON_BACK})
    here, there = hold_limited.using(queue_name="here"), hold_limited.using(queue_name="there")
    here.enqueue_many([{"key": "a", "path": str(of_zombie)}] * KEY_LIMIT)
    wait_for(lambda: begun() == KEY_LIMIT, "the places are taken", details=first.output)
    ((worker_id, zombie),) = {(worker_id, pid) for *_, worker_id, pid in effects_of("begin")}
    there.enqueue_many([{"key": "a", "path": str(of_others)}] * 2 * KEY_LIMIT)
    waiting = Job.objects.filter(status="BLOCKED")
    wait_for(lambda: waiting.count() == 2 * KEY_LIMIT, "the others wait", details=other.output)
    os.kill(zombie, signal.SIGSTOP)
    there.enqueue(key="a", path=str(of_others))  # Its claim counts those of the zombie, too.
    wait_for(lambda: begun() == 2 * KEY_LIMIT, "their places are others' now", details=other.output)
    ((in_time,),) = rows(
        "SELECT lease_until < (SELECT min(at) FROM fault_effects WHERE worker_id <> %s)"
        " FROM pleme_redis_django_workerprocess WHERE id = %s",
        [worker_id, worker_id],
    )
    assert in_time, "they begin once the lease is over"
    os.kill(zombie, signal.SIGCONT)
    first.wait_for_output("was declared dead, continues as a new worker")
    of_zombie.touch()
    first.wait_for_output("ended too late, its ending was refused", times=KEY_LIMIT)
    assert begun() == 2 * KEY_LIMIT, "their late ends let nobody in"
    of_others.touch()
    wait_for(lambda: not unfinished(), "every job ends", details=first.output)
    assert most_at_once("concurrency_key", until=LEFT_RUNNING) == {"fault:a": KEY_LIMIT}


def test_processes_that_meet_gates_in_opposite_orders_never_deadlock(start_workers: StartWorkers) -> None:
    fill((record.name, record_async.name), rounds=100, in_lines=False)
    before, chosen, deadline = deadlocks(), random.Random(SEED), time.monotonic() + 60
    hosts = [
        start_workers(pool={"queues": [queue_name], "worker_count": 12}) for queue_name in ("up", "down")
    ]
    while unfinished():
        assert time.monotonic() < deadline, "\n".join(host.output()[-3000:] for host in hosts)
        hold_some_locks(chosen)
    for host in hosts:
        host.signal(signal.SIGTERM)
        assert host.exit_code() == 0, host.output()
        assert not any(state in host.output() for state in ("sqlstate=40P01", "sqlstate=55P03"))
    assert deadlocks() == before, "their sessions have told what they met"
    assert most_at_once("concurrency_key") == dict.fromkeys(KEYS_OF_BOTH, 1)


def test_a_burst_ends_once_all_behind_its_limits_have_run(start_workers: StartWorkers) -> None:
    record_limited.enqueue_many({"key": "a", "seconds": 0.01} for _ in range(30))
    host = start_workers("--burst", environment=IN_WORKERS)
    assert host.exit_code() == 0, host.output()
    assert not unfinished()
    assert most_at_once("concurrency_key") == {"fault:a": KEY_LIMIT}


def test_a_worker_of_the_queue_is_woken_for_who_is_let_in_where_the_ending_process_does_not_serve_it(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    here = start_workers(pool={"queues": ["here"]}, environment=IN_WORKERS)
    hold_limited.using(queue_name="here").enqueue_many([{"key": "a", "path": str(gate)}] * KEY_LIMIT)
    wait_for(lambda: len(effects_of("begin")) == KEY_LIMIT, "the places are taken", details=here.output)
    waits = {"status": "BLOCKED", "blocked_on": "k:default:fault:a", "concurrency_key": "fault:a"}
    waiting = make_job(queue_name="there", job_type=record_limited.name, parameters={"key": "a"}, **waits)
    gate.touch()
    wait_for(lambda: Job.objects.get(id=waiting.id).status == "QUEUED", "it is let in", details=here.output)
    hints = RedisHints("there", hint_namespace(Job))
    assert hints.wait_for_hint(WAKE_SECONDS), "a worker of its queue would have to find it by itself"


def test_a_limit_whose_row_is_deleted_by_hand_while_jobs_wait_holds_all_the_same(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    """Its declaration makes it again, and those that wait at it neither start at once nor wait for ever."""
    gates = [tmp_path / str(number) for number in range(8)]
    hold_limited.enqueue_many([{"key": "a", "path": str(path)} for path in gates])
    hosts = [start_workers(environment=IN_WORKERS) for _ in range(2)]
    waiting = Job.objects.filter(status="BLOCKED")
    for places, path in enumerate(gates[:-KEY_LIMIT], start=KEY_LIMIT):
        wait_for(
            lambda places=places: begun() == places and waiting.count() == len(gates) - places,
            f"{places} have begun, and the others wait",
            details=hosts[0].output,
        )
        assert FlowLimit.objects.filter(kind="key").delete()[0]
        path.touch()
    for path in gates[-KEY_LIMIT:]:
        path.touch()
    wait_for(lambda: not unfinished(), "every job ends", details=hosts[0].output)
    assert most_at_once("concurrency_key") == {"fault:a": KEY_LIMIT}
