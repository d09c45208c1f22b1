"""Storm: hosts that work on a steady supply of jobs while their processes are killed, by a seeded plan."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pleme_redis_django import Job
from pleme_redis_django.models import WorkerProcess
from tests.faults.failing_stores import POINTS, deaths
from tests.faults.jobs import die_midway, record, record_async
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses

BACKLOG = 60
PAUSE_SECONDS = (0.1, 0.7)
LOOK_SECONDS = 0.02
BLOWS_PER_HOST = 20
"""Of so many blows of the driver one takes a whole host: then only the lease brings its jobs back."""
CHANCE_AT_POINTS = 0.08
CHANCE_MIDWAY = 0.08
STORM_DEADLINE_SECONDS_PER_KILL = 5.0
DRAIN_DEADLINE_SECONDS = 120.0


@dataclasses.dataclass(slots=True, kw_only=True)
class Figures:
    """What a storm did, for people to read."""

    jobs: int = 0
    kills: dict[str, int] = dataclasses.field(default_factory=dict)
    storm_seconds: float = 0.0
    drain_seconds: float = 0.0

    def text(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.kills.items())
        return (
            f"{sum(self.kills.values())} SIGKILLs ({kinds}) in {self.storm_seconds:.0f} s; {self.jobs} jobs, "
            f"all ended {self.drain_seconds:.1f} s after the last one"
        )


class Storm:
    """Runs until so many were killed, some at every named point and by either blow, and all jobs have ended."""

    def __init__(
        self,
        start_host: Callable[..., WorkerProcesses],
        folder: Path,
        *,
        seed: int,
        kills: int,
        hosts: int = 2,
        processes: int = 2,
        pool: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._peace, self._notes = folder / "peace", folder / "deaths"
        self._random = random.Random(seed)
        self._wanted = kills
        orders = {
            "seed": seed,
            "chance": CHANCE_AT_POINTS,
            "peace": str(self._peace),
            "notes": str(self._notes),
        }
        self._start_host = lambda: start_host(
            "--processes",
            str(processes),
            # Whoever kills at random kills the innocent too.
            pool={
                "store": "tests.faults.failing_stores.KillingJobStore",
                "max_crashes": 1_000,
                **(pool or {}),
            },
            environment={"FAULT_KILLS": json.dumps(orders), **(environment or {})},
        )
        self._hosts = [self._start_host() for _ in range(hosts)]
        self._blow_count = 0
        self._blows = {"random child": 0, "whole host": 0}

    def run(self) -> Figures:
        """Let it rage, let it end, and return the figures; fails when a job does not end."""
        started = time.monotonic()
        next_blow = started
        deadline = started + 60 + STORM_DEADLINE_SECONDS_PER_KILL * self._wanted
        while not self._has_raged():
            assert time.monotonic() < deadline, f"only {self._kills()} in time\n{self._story()}"
            self._supply()
            if time.monotonic() >= next_blow:
                self._strike()
                next_blow = time.monotonic() + self._random.uniform(*PAUSE_SECONDS)
            time.sleep(LOOK_SECONDS)
        self._peace.touch()
        ended = time.monotonic()
        wait_for(
            lambda: not _unfinished(),
            "every job ends",
            deadline_seconds=DRAIN_DEADLINE_SECONDS,
            details=self._story,
        )
        return Figures(
            jobs=Job.objects.count(),
            kills=self._kills(),
            storm_seconds=ended - started,
            drain_seconds=time.monotonic() - ended,
        )

    def _kills(self) -> dict[str, int]:
        return {**deaths(self._notes), **self._blows}

    def _has_raged(self) -> bool:
        """Whether enough were killed, and some of them at every named point and by either kind of blow."""
        kills = self._kills()
        everywhere = {*POINTS, "mid_effect"} <= kills.keys() and all(kills.values())
        return sum(kills.values()) >= self._wanted and everywhere

    def _supply(self) -> None:
        if _unfinished() < BACKLOG:
            record.enqueue_many({"seconds": self._random.choice([0, 0.005, 0.03])} for _ in range(20))
            record_async.enqueue_many({"seconds": self._random.choice([0, 0.02])} for _ in range(10))
            die_midway.enqueue_many({"chance": CHANCE_MIDWAY} for _ in range(10))

    def _strike(self) -> None:
        index = self._random.randrange(len(self._hosts))
        host = self._hosts[index]
        # Killing what has not claimed yet would prove nothing.
        victims = _registered(host.children())
        if not victims:
            return
        self._blow_count += 1
        if self._blow_count % BLOWS_PER_HOST == 0:
            host.end()
            self._hosts[index] = self._start_host()
            self._blows["whole host"] += len(victims)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._random.choice(victims), signal.SIGKILL)
                self._blows["random child"] += 1

    def _story(self) -> str:
        left = list(_unfinished_rows().values_list("id", "job_type", "status", "attempt", "crash_count")[:20])
        return f"{left}\n" + "\n".join(host.output()[-3000:] for host in self._hosts)


def _registered(pids: list[int]) -> list[int]:
    alive = WorkerProcess.objects.filter(died_at=None, pid__in=pids).order_by("started_at")
    return list(alive.values_list("pid", flat=True))


def _unfinished_rows() -> Any:
    return Job.objects.exclude(status__in=["COMPLETED", "FAILED", "CANCELLED"])


def _unfinished() -> int:
    return int(_unfinished_rows().count())
