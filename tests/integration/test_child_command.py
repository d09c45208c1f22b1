"""runworkers called by a program: its worker processes get the options of that call."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError

from pleme_redis_django import Job
from pleme_redis_django.management.runworkers.child_command import child_command
from pleme_redis_django.management.runworkers.options import RunOptions
from tests.worker_processes import SHORT_LEASES, WorkerProcesses
from tests.workload.jobs import noop

StartProgram = Callable[..., WorkerProcesses]

SCRIPT = """
import django
from django.core.management import call_command

django.setup()
call_command("runworkers", "default", {options})
print("the program goes on", flush=True)
"""
COMMAND = """
from django.core.management import BaseCommand, call_command

class Command(BaseCommand):
    def handle(self, **options):
        call_command("runworkers", processes=2, burst=True, queues=["default", "mail"])
"""


@pytest.fixture
def start_program(
    transactional_db: None, process_environment: dict[str, str], tmp_path: Path
) -> Iterator[StartProgram]:
    started: list[WorkerProcesses] = []

    def start(*program: str, **environment: str) -> WorkerProcesses:
        overrides = {"POOLS": {"default": SHORT_LEASES}}
        environ = {**process_environment, "PLEME_REDIS_OVERRIDES": json.dumps(overrides), **environment}
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), environ.get("PYTHONPATH")]))
        started.append(WorkerProcesses((), environ, tmp_path / "program.log", program))
        return started[-1]

    yield start
    for workers in started:
        workers.end()


def test_a_script_starts_the_worker_processes_that_it_asks_for(
    start_program: StartProgram, tmp_path: Path
) -> None:
    noop.enqueue_many({} for _ in range(20))
    script = tmp_path / "worker.py"
    script.write_text(SCRIPT.format(options="processes=2, burst=True, verbosity=2"))
    program = start_program(str(script))
    assert program.exit_code() == 0
    assert Job.objects.filter(status="COMPLETED").count() == 20
    assert program.output().count("worker started") == 2, program.output()
    assert "the program goes on" in program.output()


def test_a_script_drains_on_sigterm(start_program: StartProgram, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(SCRIPT.format(options="async_count=0, worker_count=1"))
    program = start_program(str(script))
    assert "1 sync + 0 async" in program.wait_for_output("worker started")
    assert len(program.children()) == 1
    program.signal(signal.SIGTERM)
    assert program.exit_code() == 0


def test_a_command_of_the_project_calls_it(start_program: StartProgram, tmp_path: Path) -> None:
    commands = tmp_path / "caller" / "management" / "commands"
    commands.mkdir(parents=True)
    (commands / "work.py").write_text(COMMAND)
    (tmp_path / "caller" / "__init__.py").touch()
    (tmp_path / "caller_settings.py").write_text(
        "from tests.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'caller']\n"
    )
    noop.enqueue_many({} for _ in range(20))
    noop.using(queue_name="other").enqueue()
    program = start_program(
        "-m", "django", "work", PYTHONPATH=str(tmp_path), DJANGO_SETTINGS_MODULE="caller_settings"
    )
    assert program.exit_code() == 0
    assert Job.objects.filter(status="COMPLETED").count() == 20
    assert program.output().count("worker started") == 2, program.output()


def test_a_child_that_is_none_does_not_become_a_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that puts a command line of its own together ignores what its children are given."""
    monkeypatch.setenv("PLEME_REDIS_WORKER_PROCESS", "1")
    options = RunOptions(
        pools=(),
        processes=1,
        overrides={},
        burst=False,
        reload=False,
        log_format="text",
        release="",
        max_silence_seconds=0,
    )
    with pytest.raises(CommandError, match=r"Pass sys\.argv on"):
        child_command(options, {}, sys.argv)
