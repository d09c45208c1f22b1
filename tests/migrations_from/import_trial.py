"""One trial: the other scheduler writes its entries, we import them, and both say the same next times.

import_trial.py celery-beat
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


class Trial:
    """A project with the other scheduler, and then without it."""

    def __init__(self, source: str, database_url: str, redis_url: str) -> None:
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "DJANGO_SETTINGS_MODULE": "timetable.settings",
            "PYTHONPATH": str(HERE),
            "SOURCE": source,
        }

    def run(self, *arguments: str, after: bool = True, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            env=self._environment | {"AFTER": "1" if after else ""},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def rows(self, query: str) -> list[Any]:
        import psycopg

        with psycopg.connect(self._environment["DATABASE_URL"]) as connection:
            return connection.execute(query).fetchall()

    def schedules(self) -> dict[str, Any]:
        return {found["name"]: found for found in json.loads(self.run("schedules", "list", "--json"))}


def main(source: str) -> None:
    from pleme_redis_django.testing.servers import BackingServices

    with BackingServices(tcp=True, durable=False) as services:
        trial = Trial(source, services.database_url, services.redis_url)
        trial.run("migrate", "--verbosity", "0", after=False)
        theirs = json.loads(trial.run("write", after=False))
        refused = [name for name, times in theirs.items() if times is None]
        options = [source, "--map", "timetable.theirs.work=timetable.jobs.work"]

        dry = trial.run("importschedules", *options, "--dry-run", code=1)
        assert trial.schedules() == {}
        said = trial.run("importschedules", *options, code=1)
        print(said)
        assert dry == said.replace("imported", "could be imported")
        assert sorted(_named(said, "cannot be expressed: ")) == sorted(refused)

        ours = trial.schedules()
        assert sorted(ours) == sorted(set(theirs) - set(refused))
        for name, found in ours.items():
            upcoming = [datetime.fromisoformat(time) for time in found["upcoming"]]
            expected = [datetime.fromisoformat(time) for time in theirs[name]]
            assert upcoming[: len(expected)] == expected, (name, found["cron"], upcoming, expected)
            trial.run("schedules", "run", name)

        rows = trial.rows("SELECT * FROM pleme_redis_django_schedule ORDER BY id")
        again = trial.run("importschedules", *options, code=1)
        assert f"imported 0, already there {len(ours)}, cannot be expressed {len(refused)}" in again
        assert trial.rows("SELECT * FROM pleme_redis_django_schedule ORDER BY id") == rows

        trial.run("runworkers", "--burst")
        ended = trial.rows("SELECT status, count(*) FROM pleme_redis_django_job GROUP BY status")
        assert ended == [("COMPLETED", len(ours))], ended
    times = sum(len(found or ()) for found in theirs.values())
    print(f"{source}: {len(ours)} schedules, {times} next times, all the same; each was run once")


def _named(said: str, beginning: str) -> list[str]:
    lines = [line.removeprefix(beginning) for line in said.splitlines() if line.startswith(beginning)]
    return [line.split(": ")[0] for line in lines]


if __name__ == "__main__":
    main(sys.argv[1])
