"""Minutes with a locked row beside a stream of jobs, with figures: part of ``make faults``, not of the suite.

``PLEME_LOCKED_ROW_SECONDS=60`` says for how long; 600 unless it is set.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psycopg
import pytest

from pleme_redis_django.jobs.worker.finisher import MAX_UNWRITTEN
from tests.faults.long_database import TICK_SECONDS, supply
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.workload import jobs

pytestmark = pytest.mark.process

LOCKED_SECONDS = float(os.environ.get("PLEME_LOCKED_ROW_SECONDS", "600"))
SLOTS = 4


def test_a_row_that_is_locked_for_minutes_holds_up_no_other(
    start_workers: StartWorkers, process_environment: dict[str, str], tmp_path: Path
) -> None:
    started, let_go = tmp_path / "started", tmp_path / "let-go"
    locked = jobs.wait_for_file.enqueue(started=str(started), path=str(let_go))
    workers = start_workers("--worker-count", str(SLOTS), pool={"stale_job_threshold_seconds": 7_200})
    wait_for(started.exists, "the job runs", details=workers.output)
    (child,) = workers.children()
    url = process_environment["DATABASE_URL"]
    with psycopg.connect(url) as somebody, psycopg.connect(url, autocommit=True) as own:
        somebody.execute("SELECT FROM pleme_redis_django_job WHERE id = %s FOR UPDATE", [locked.id])
        let_go.touch()
        supply(own, 10)
        memory = [_memory_mib(child)]
        running: list[int] = []

        def look() -> None:
            memory.append(_memory_mib(child))
            running.append(_count(own, "status = 'RUNNING'"))

        jobs_came = supply(own, LOCKED_SECONDS, look, every_seconds=1.0)
        left = _count(own, "status <> 'COMPLETED'")
        somebody.rollback()
        wait_for(lambda: not _count(own, "status <> 'COMPLETED'"), "all end", deadline_seconds=60)
    assert workers.children() == [child]
    assert max(running) <= MAX_UNWRITTEN + SLOTS
    sys.stdout.write(
        f"\na row locked for {LOCKED_SECONDS:.0f} s while {jobs_came} jobs came, one tick each {TICK_SECONDS} s: "
        f"{left} left at the end of it, the locked one among them; at most {max(running)} RUNNING at once, "
        f"endings that wait included; {memory[0]:.1f} MiB before, {max(memory):.1f} MiB at most, "
        f"{memory[-1]:.1f} MiB after\n"
    )


def _memory_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _count(own: psycopg.Connection[tuple[int]], condition: str) -> int:
    row = own.execute(f"SELECT count(*) FROM pleme_redis_django_job WHERE {condition}").fetchone()
    assert row is not None
    return row[0]
