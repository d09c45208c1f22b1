"""Limits and rates at size, while processes are killed and frozen, with figures: part of ``make faults``.

``PLEME_FAULT_STARTS`` is how many jobs of limited keys run, ``PLEME_FAULT_RATE_SECONDS`` how long a rate is watched,
``PLEME_FAULT_SEED`` the seed of the plan. Every start is judged by what handlers wrote on connections of their own and
by a trigger's record of every change of a status, all in the database's time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import sys
import time
from collections.abc import Iterator

import pytest
from django.db import connection

from pleme_redis_django import Job
from pleme_redis_django.models import WorkerProcess
from pleme_redis_django.operations import set_limit
from tests.faults.effects import rows
from tests.faults.limits.jobs import MANY_LIMIT, record_of_many
from tests.faults.tokens import given_tokens, most_in_window, tokens_recorded
from tests.integration.conftest import StartWorkers
from tests.worker_processes import WorkerProcesses, process_runs

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]

STARTS = int(os.environ.get("PLEME_FAULT_STARTS", "20000"))
SEED = int(os.environ.get("PLEME_FAULT_SEED", "1"))
RATE_SECONDS = float(os.environ.get("PLEME_FAULT_RATE_SECONDS", "20"))
IN_WORKERS = {"DJANGO_SETTINGS_MODULE": "tests.faults.limits.settings"}
# So few places that most jobs wait once.
KEYS, THREADS = 60, 20
BACKLOG, AT_ONCE = 3_000, 1_000
# Of so many blows one freezes a process until it is declared dead, and lets it go on as a zombie.
FREEZE_EVERY = 3
PAUSE_SECONDS = (3.0, 8.0)
LOOK_SECONDS = 0.05
SLOWEST_STARTS_PER_SECOND = 100
RATE, BURST = 200, 20
WINDOWS_SECONDS = (0.1, 1.0, 5.0)
LEAST_SHARE_OF_RATE = 0.97

# An attempt counts from its first effect until its last one, or until its row leaves RUNNING: from then on a zombie no
# longer holds a place. An attempt that begins after that, in a process that was frozen in between, never held one.
_ATTEMPTS = """
CREATE TEMPORARY TABLE fault_attempts AS
SELECT job.concurrency_key AS gate, began.at AS began, ended.at AS ended, left_running.at AS left_running
FROM (SELECT job_id, attempt, min(at) AS at FROM fault_effects WHERE what = 'begin' GROUP BY 1, 2) AS began
JOIN pleme_redis_django_job AS job ON job.id = began.job_id
LEFT JOIN (SELECT job_id, attempt, max(at) AS at FROM fault_effects WHERE what = 'end' GROUP BY 1, 2) AS ended
  ON (ended.job_id, ended.attempt) = (began.job_id, began.attempt)
LEFT JOIN (SELECT job_id, attempt, min(at) AS at FROM fault_transitions WHERE old_status = 'RUNNING'
           GROUP BY 1, 2) AS left_running
  ON (left_running.job_id, left_running.attempt) = (began.job_id, began.attempt)
"""
_MOST_AT_ONCE = """
WITH moved AS (
    SELECT gate, began AS at, 1 AS by FROM fault_attempts WHERE began < left_running
    UNION ALL
    SELECT gate, LEAST(ended, left_running), -1 FROM fault_attempts WHERE began < left_running
)
SELECT gate, max(running) FROM (
    SELECT gate, SUM(by) OVER (PARTITION BY gate ORDER BY at, by ROWS UNBOUNDED PRECEDING) AS running FROM moved
) AS counted GROUP BY gate
"""


@dataclasses.dataclass(slots=True, kw_only=True)
class Blows:
    """What was done to the processes."""

    kills: int = 0
    zombies: int = 0


class Storm:
    """Kills and freezes the processes of a host by a seeded plan, each when its time has come."""

    def __init__(self, host: WorkerProcesses) -> None:
        self.blows = Blows()
        self._host = host
        self._random = random.Random(SEED)
        self._number = 0
        self._frozen: int | None = None
        self._due = time.monotonic() + PAUSE_SECONDS[1]

    def look(self) -> None:
        """Strike, or let a frozen process that is taken for dead go on."""
        if self._frozen is not None:
            if not alive([self._frozen]):
                self._thaw()
        elif time.monotonic() >= self._due and (victims := alive(self._host.children())):
            self._number += 1
            self._strike(self._random.choice(victims))
            self._due = time.monotonic() + self._random.uniform(*PAUSE_SECONDS)

    def end(self) -> None:
        """Let everybody go on."""
        if self._frozen is not None:
            self._thaw()

    def _strike(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._number % FREEZE_EVERY == 0:
                os.kill(pid, signal.SIGSTOP)
                self._frozen = pid
            else:
                os.kill(pid, signal.SIGKILL)
                self.blows.kills += 1

    def _thaw(self) -> None:
        pid, self._frozen = self._frozen, None
        if pid is not None and process_runs(pid):
            os.kill(pid, signal.SIGCONT)
            self.blows.zombies += 1


def alive(pids: list[int]) -> list[int]:
    """Return which of the processes have begun to claim, and are not taken for dead."""
    return list(WorkerProcess.objects.filter(died_at=None, pid__in=pids).values_list("pid", flat=True))


def unfinished() -> int:
    """Return how many jobs have not ended: of each status by its own index."""
    return sum(
        Job.objects.filter(status=status).count() for status in ("QUEUED", "BLOCKED", "RUNNING", "PENDING")
    )


def work_through(host: WorkerProcesses, storm: Storm) -> float:
    """Supply all jobs and see them end, with the storm; return how long it took."""
    chosen, supplied, begun = random.Random(SEED), 0, time.monotonic()
    deadline = begun + 120 + STARTS / SLOWEST_STARTS_PER_SECOND
    while (left := unfinished()) or supplied < STARTS:
        assert time.monotonic() < deadline, f"{left} of {supplied} left\n{host.output()[-3000:]}"
        if left < BACKLOG and supplied < STARTS:
            record_of_many.enqueue_many({"key": str(chosen.randrange(KEYS))} for _ in range(AT_ONCE))
            supplied += AT_ONCE
        elif left < BACKLOG:
            storm.end()
        else:
            storm.look()
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - begun


def test_never_more_than_a_limit_run_in_many_starts_with_kills_and_zombies(
    start_workers: StartWorkers,
) -> None:
    host = start_workers(
        "--processes",
        "2",
        pool={"worker_count": THREADS, "max_crashes": 1_000, "max_unseen_deaths": 1_000},
        environment=IN_WORKERS,
    )
    storm = Storm(host)
    seconds = work_through(host, storm)
    with connection.cursor() as cursor:
        cursor.execute(_ATTEMPTS)
    ((attempts, late),) = rows(
        "SELECT count(*), count(*) FILTER (WHERE began >= left_running) FROM fault_attempts"
    )
    most = dict(rows(_MOST_AT_ONCE))
    over = {gate: count for gate, count in most.items() if count > MANY_LIMIT}
    ((waited, rescued),) = rows(
        "SELECT count(*) FILTER (WHERE new_status = 'BLOCKED'), count(*) FILTER (WHERE old_status = 'RUNNING' AND"
        " new_status NOT IN ('COMPLETED', 'BLOCKED')) FROM fault_transitions"
    )
    sys.stdout.write(
        f"\n{attempts:,} starts of {KEYS} keys with {MANY_LIMIT} places each in {seconds:.0f} s, "
        f"{attempts / seconds:.0f}/s: {storm.blows.kills} kills, {storm.blows.zombies} zombies, {rescued:,} jobs "
        f"rescued or given back, {waited:,} times one waited; most at once {max(most.values())}, keys over the limit: "
        f"{len(over)}; begun by a zombie past its lease: {late}\n"
    )
    assert not over
    assert len(most) == KEYS
    assert set(most.values()) == {MANY_LIMIT}, "the places were all taken: the limit is what held the others"
    assert Job.objects.filter(status="COMPLETED").count() == Job.objects.count() >= STARTS
    assert storm.blows.kills and storm.blows.zombies


@pytest.fixture
def tokens(transactional_db: None) -> Iterator[None]:
    """The table of the tokens that are given."""
    with tokens_recorded():
        yield


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize("is_calm", [True, False], ids=["calm", "storm"])
def test_a_rate_is_reached_and_never_passed(start_workers: StartWorkers, is_calm: bool) -> None:
    set_limit("key", "many", max_running=None, rate=RATE, per_seconds=1.0, burst=BURST)
    count = round(RATE * RATE_SECONDS)
    record_of_many.using(concurrency_key="many").enqueue_many([{"key": ""}] * count)
    host = start_workers(
        "--processes",
        "2",
        pool={"worker_count": THREADS, "max_crashes": 1_000, "max_unseen_deaths": 1_000},
        environment=IN_WORKERS,
    )
    storm = Storm(host)
    deadline = time.monotonic() + 60 + 5 * RATE_SECONDS
    while left := unfinished():
        assert time.monotonic() < deadline, f"{left} of {count} left\n{host.output()[-3000:]}"
        if not is_calm:
            storm.look()
        time.sleep(LOOK_SECONDS)
    given = given_tokens()
    seconds = (given[-1][0] - given[0][0]).total_seconds()
    reached = (sum(granted for _at, granted in given) - BURST) / seconds / RATE
    most = {window: most_in_window(given, window) for window in WINDOWS_SECONDS}
    figures = ", ".join(
        f"{most[window]} of {BURST + RATE * window:.0f} in {window} s" for window in WINDOWS_SECONDS
    )
    sys.stdout.write(
        f"\n{count:,} starts at {RATE}/s, burst {BURST}, in {seconds:.1f} s, {reached:.1%} of the rate: "
        f"{storm.blows.kills} kills, {storm.blows.zombies} zombies; most tokens given: {figures}\n"
    )
    assert all(most[window] <= BURST + RATE * window for window in WINDOWS_SECONDS)
    assert sum(granted for _at, granted in given) >= count, "each start has a token of its own"
    if is_calm:
        assert reached >= LEAST_SHARE_OF_RATE
