"""A snapshot that is held for long at load: how fast jobs end at its beginning and after it, and without one.

``BENCH_HELD_SECONDS=600`` holds it for ten minutes; the default is what shows whether there is a slope at all.
"""

from __future__ import annotations

import time

from django.db import connection

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.sizes import size
from tests.benchmarks.snapshots import held_snapshot
from tests.benchmarks.workers import (
    insert_ready_jobs,
    settle,
    start_afresh,
    wait_until,
    worker_pids,
    worker_processes,
)

HELD_SECONDS = size("BENCH_HELD_SECONDS", 20)
# Without a snapshot the rate stays the same, so that no more than this shows it.
FREE_SECONDS = min(HELD_SECONDS, 120)
# Twice as many are ready, give or take what ends in a second, so that no worker process waits for work.
BACKLOG = 30_000
LOOK_SECONDS = 0.1
# The parts of the time that are compared.
PART = 0.25


def run(servers: BenchmarkServers) -> list[Row]:
    start_afresh(servers)
    free_first, free_last = _rates_at_load(servers, FREE_SECONDS)
    start_afresh(servers)
    with held_snapshot(servers):
        held_first, held_last = _rates_at_load(servers, HELD_SECONDS)
    start_afresh(servers)
    seconds, seconds_free = f"{HELD_SECONDS * PART:.0f} s", f"{FREE_SECONDS * PART:.0f} s"
    return [
        Row(
            name="last quarter behind a held snapshot against none",
            value=100 * held_last / free_last,
            unit="%",
            target=90,
            note=f"{held_last:,.0f}/s in the last {seconds} of {HELD_SECONDS:,}, 2 processes; {free_last:,.0f}/s in the"
            f" last {seconds_free} of {FREE_SECONDS:,}",
        ),
        Row(
            name="last quarter against the first, snapshot held",
            value=100 * held_last / held_first,
            unit="%",
            note=f"{held_first:,.0f}/s in the first {seconds}",
        ),
        Row(
            name="last quarter against the first, none held",
            value=100 * free_last / free_first,
            unit="%",
            note=f"{free_first:,.0f}/s in the first {seconds_free}",
        ),
    ]


def _rates_at_load(servers: BenchmarkServers, seconds: float) -> tuple[float, float]:
    """Keep worker processes busy; return the jobs a second in the first and the last part of the time."""
    insert_ready_jobs(2 * BACKLOG)
    settle()
    inserted, updates_before = 2 * BACKLOG, _updates()
    with worker_processes(servers, "default", "--processes", "2"):
        wait_until(lambda: len(worker_pids()) == 2, "the workers register")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            # A claim and an ending are an update each. Counted so, because a look at what is ready would have to
            # pass all that the snapshot keeps.
            if inserted - (_updates() - updates_before) // 2 < 2 * BACKLOG:
                insert_ready_jobs(BACKLOG)
                inserted += BACKLOG
            time.sleep(LOOK_SECONDS)
    return _rates_of_parts(seconds)


def _updates() -> int:
    """Return how many rows of the job table were updated, as of a second ago."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'pleme_redis_django_job'")
        return int(cursor.fetchone()[0])


def _rates_of_parts(seconds: float) -> tuple[float, float]:
    """Return the jobs a second in the first and in the last part of what was completed within the time."""
    part = seconds * PART
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE passed < %s), count(*) FILTER (WHERE passed BETWEEN %s AND %s)"
            " FROM (SELECT extract(epoch FROM completed_at - min(completed_at) OVER ()) AS passed"
            "       FROM pleme_redis_django_job WHERE status = 'COMPLETED') AS job",
            [part, seconds - part, seconds],
        )
        first, last = cursor.fetchone()
    return first / part, last / part
