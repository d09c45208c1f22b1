"""One trial: enqueue with the other queue, move with a SIGKILL in between, run; nothing is lost, nothing is doubled.

trial.py django-tasks-db
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
CALLS = 3_000
LATER = 5
BAD = 2
BATCH_SIZE = "25"
DEADLINE_SECONDS = 60.0
LOOK_SECONDS = 0.002
TABLES = {
    "django-tasks-db": "django_tasks_database_dbtaskresult",
    "django-ox": "django_ox_oxtask",
    "django-q2": "django_q_ormq",
}
# Queues that know a due time keep such rows apart; django-q2 has schedules for it.
ROWS = {
    "django-tasks-db": CALLS + LATER + BAD,
    "django-ox": CALLS + LATER + BAD,
    "django-q2": CALLS + BAD,
}


class Trial:
    """A project that uses another queue, and then this package."""

    def __init__(self, source: str, database_url: str) -> None:
        self._source = source
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "PYTHONPATH": str(HERE),
            "SOURCE": source,
        }

    def start(self, *arguments: str, after: bool = True) -> subprocess.Popen[str]:
        environment = self._environment | {"AFTER": "1" if after else ""}
        command = [sys.executable, "-m", "django", *arguments]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *arguments: str, after: bool = True, code: int = 0) -> str:
        process = self.start(*arguments, after=after)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == code, f"{arguments}: {process.returncode}\n{output}"
        return output

    def counts(self) -> tuple[int, int]:
        """Return how many rows of the other queue there are, and how many jobs."""
        import psycopg

        with psycopg.connect(self._environment["DATABASE_URL"]) as connection:
            row = connection.execute(
                f"SELECT (SELECT count(*) FROM {TABLES[self._source]}),"
                " (SELECT count(*) FROM pleme_redis_django_job)"
            ).fetchone()
        assert row is not None
        return row

    def results(self) -> dict[str, int]:
        import psycopg

        with psycopg.connect(self._environment["DATABASE_URL"]) as connection:
            rows = connection.execute("SELECT status, count(*) FROM pleme_redis_django_job GROUP BY status")
            return dict(rows.fetchall())


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(LOOK_SECONDS)


def main(source: str) -> None:
    from pleme_redis_django.testing.servers import BackingServices

    total = ROWS[source]
    with BackingServices(durable=False) as services:
        trial = Trial(source, services.database_url)
        trial.run("migrate", "--verbosity", "0", after=False)
        trial.run("fill", str(CALLS), str(LATER), str(BAD), after=False)
        assert trial.counts() == (total, 0), trial.counts()

        dry = trial.run("adopttasks", source, "--dry-run", code=1)
        print(dry)
        assert f"{source}: {total - BAD} could be moved" in dry
        assert trial.counts() == (total, 0)

        process = trial.start("adopttasks", source, "--batch-size", BATCH_SIZE)
        wait_for(lambda: trial.counts()[1] > CALLS // 10)
        process.kill()
        process.communicate()
        rows, jobs = trial.counts()
        print(f"killed with {jobs} jobs and {rows} rows")
        assert 0 < jobs < total - BAD
        assert rows + jobs == total

        print(trial.run("adopttasks", source, code=1))
        assert trial.counts() == (BAD, total - BAD)
        again = trial.run("adopttasks", source, code=1)
        assert f"{source}: 0 moved" in again
        assert trial.counts() == (BAD, total - BAD)

        trial.run("runworkers", "--burst", "--processes", "2")
        results = trial.results()
        print(results)
        assert results.pop("COMPLETED") == CALLS
        assert sum(results.values()) == total - BAD - CALLS
        trial.run("sums", str(CALLS))
    print(f"{source}: well")


if __name__ == "__main__":
    main(sys.argv[1])
