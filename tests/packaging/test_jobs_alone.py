"""A project with jobs alone imports neither channels nor redis, in any of its processes."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

SETTINGS = "tests.packaging.jobs_alone.settings"
ENQUEUE = """
from tests.packaging.jobs_alone.jobs import imported, tell_imports
from pleme_redis_django import operations, Job
job = tell_imports.enqueue()
tell_imports.using(unique_key="one").enqueue()
operations.cancel_jobs(Job.objects.exclude(pk=job.pk))
print(imported())
"""
RESULT = """
from pleme_redis_django import Job
print(Job.objects.get(status="COMPLETED").results["imported"])
"""
NEEDED_BY_OTHERS = RESULT.replace('"imported"', '"needed_by_others"')


class Commands:
    """Runs the commands of the project, each in a process of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def run(self, *arguments: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def imported_by(self, program: str) -> list[str]:
        """Run a program with the project set up; return the list that it prints last."""
        printed = self.run("shell", "--no-imports", "-c", program).splitlines()
        return list(ast.literal_eval(printed[-1]))


def _commands_on(database: Path, process_environment: dict[str, str]) -> Commands:
    settings = {"DJANGO_SETTINGS_MODULE": SETTINGS, "JOBS_ALONE_DATABASE": str(database), "PYTHONPATH": "."}
    environment = {**process_environment, **settings}
    environment.pop("PLEME_REDIS_OVERRIDES", None)
    return Commands(environment)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the tables and nothing in them; each test has a copy."""
    database = tmp_path_factory.mktemp("jobs alone") / "jobs.sqlite3"
    _commands_on(database, dict(os.environ)).run("migrate", "--verbosity", "0")
    return database


@pytest.fixture
def commands(migrated: Path, process_environment: dict[str, str], tmp_path: Path) -> Commands:
    return _commands_on(shutil.copy(migrated, tmp_path / "jobs.sqlite3"), process_environment)


def test_without_redis_neither_who_enqueues_nor_a_worker_imports_it(commands: Commands) -> None:
    assert commands.imported_by(ENQUEUE) == []
    commands.run("runworkers", "--burst", "--verbosity", "0")
    assert commands.imported_by(RESULT) == []


def test_a_worker_process_loads_neither_the_supervisor_nor_what_pages_and_other_commands_need(
    commands: Commands,
) -> None:
    """Not even the URLs: the command has had Django check them."""
    commands.imported_by(ENQUEUE)
    commands.run("runworkers", "--burst", "--verbosity", "0")
    assert commands.imported_by(NEEDED_BY_OTHERS) == []


def test_the_checks_and_statistics_import_neither(commands: Commands) -> None:
    program = "from django.core.management import call_command\n{}\n"
    told = "from tests.packaging.jobs_alone.jobs import imported\nprint()\nprint(imported())"
    calls = 'call_command("check", deploy=True)\ncall_command("jobstats")\n'
    assert commands.imported_by(program.format(calls + told)) == []


def test_with_redis_the_first_enqueue_waits_for_no_import_and_nobody_imports_channels(
    commands: Commands, process_environment: dict[str, str]
) -> None:
    commands._environment["JOBS_ALONE_REDIS"] = process_environment["REDIS_URL"]
    before = "from tests.packaging.jobs_alone.jobs import imported\nprint(imported())"
    assert commands.imported_by(before) == ["redis"]
    assert commands.imported_by(ENQUEUE) == ["redis"]
    commands.run("runworkers", "--burst", "--verbosity", "0")
    assert commands.imported_by(RESULT) == ["redis"]
