"""Two hosts fire schedules while their processes are killed: every tick makes one job, and none is left out.

The suite waits for 200 ticks; ``PLEME_FAULT_TICKS`` asks for more.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from pleme_redis_django import Job
from pleme_redis_django.models import Schedule, ScheduleTick
from tests.faults.firing_deaths import POINTS_VARIABLE
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses
from tests.workload.jobs import noop

pytestmark = [pytest.mark.process, pytest.mark.long]

TICKS = int(os.environ.get("PLEME_FAULT_TICKS", "200"))
SEED = int(os.environ.get("PLEME_FAULT_SEED", "1"))
SCHEDULES = 10


def test_every_tick_fires_once_while_processes_are_killed(start_workers: StartWorkers) -> None:
    first = timezone.now().replace(microsecond=0) + timedelta(seconds=3)
    made = [
        Schedule.objects.create(
            product="default",
            name=f"every second {number}",
            job_type=noop.name,
            interval_seconds=1,
            catch_up="all",
            catch_up_limit=10_000,
            overlap="allow",
            next_tick_at=first,
        )
        for number in range(SCHEDULES)
    ]
    hosts = [start_workers("--processes", "1", environment={POINTS_VARIABLE: "600"}) for _host in range(2)]
    kills = _kill_until_fired(hosts, random.Random(SEED))
    sys.stdout.write(f"\nseed {SEED}: {kills} SIGKILLs by the test, {ScheduleTick.objects.count()} ticks\n")
    for host in hosts:
        host.end()
    for schedule in made:
        schedule.refresh_from_db()
        ticks = list(schedule.ticks.order_by("tick_at").values_list("tick_at", "outcome", "job_id"))
        last = ticks[-1][0]
        expected = [first + timedelta(seconds=at) for at in range(int((last - first).total_seconds()) + 1)]
        assert [at for at, *_ in ticks] == expected, schedule.name
        assert {outcome for _at, outcome, _job in ticks} == {"enqueued"}
        assert schedule.next_tick_at == last + timedelta(seconds=1)
    job_ids = ScheduleTick.objects.values_list("job_id", flat=True)
    assert set(job_ids) == set(Job.objects.values_list("id", flat=True))
    assert Counter(job_ids).most_common(1)[0][1] == 1


def _kill_until_fired(hosts: list[WorkerProcesses], chosen: random.Random) -> int:
    """Kill one process after the other, each once some ticks were fired, until all of them were."""
    kills = 0
    while (fired := ScheduleTick.objects.count()) < TICKS:
        more = fired + chosen.randint(1, 2 * SCHEDULES)
        wait_for(
            lambda more=more: ScheduleTick.objects.count() >= more,
            f"{more} ticks are fired",
            deadline_seconds=90,
            details=lambda: hosts[0].output() + hosts[1].output(),
        )
        for pid in chosen.choice(hosts).children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                kills += 1
    return kills
