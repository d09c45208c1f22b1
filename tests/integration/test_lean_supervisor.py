"""The supervisor that takes the place of the command: what it has loaded, and what it has kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pleme_redis_django.management.runworkers.agreement import EXIT_DRAINED
from tests.integration.conftest import StartWorkers

# A Python that has loaded subprocess and dataclasses has 13 MiB, one that has loaded Django 40 at the least.
MOST_MEBIBYTES = 20

# Each child says that it has drained, which ends the supervisor too.
PROGRAM = f"""
import argparse, atexit, os, signal, sys
from pleme_redis_django.management.runworkers.lean_supervisor import Orders, become_supervisor

CHILD = '''
import argparse, os
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage, Stage
parser = argparse.ArgumentParser()
parser.add_argument("--page-fd", type=int)
options, _ = parser.parse_known_args()
print("child of", os.getppid(), "in", os.getcwd(), "given", os.environ["GIVEN"], flush=True)
page = ExecutingPage(1, "11111111-1111-4111-8111-111111111111", fd=options.page_fd)
page.note_stage(Stage.STOPPED)
os._exit({EXIT_DRAINED})
'''
atexit.register(lambda: print("end of", os.getpid()))
become_supervisor(
    Orders(
        child_arguments=[sys.executable, "-c", CHILD],
        pools=["default"],
        processes=1,
        burst=False,
        max_silence_seconds=0,
    ),
    [sys.executable],
    {{**os.environ, "GIVEN": "an environment"}},
    ["manage.py", "runworkers"],
)
"""


@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads Linux's /proc")
def test_the_supervisor_has_loaded_neither_django_nor_the_project(start_workers: StartWorkers) -> None:
    workers = start_workers("--processes", "2")
    workers.wait_for_output("worker started", times=2)
    process = Path(f"/proc/{workers.pid}")
    assert "runworkers\0--processes\x002" in (process / "cmdline").read_text(), (
        "operators look for it by name"
    )
    assert "psycopg" not in (process / "maps").read_text()
    resident = next(line for line in (process / "smaps_rollup").read_text().splitlines() if "Rss:" in line)
    assert int(resident.split()[1]) < MOST_MEBIBYTES * 1024
    assert len(workers.children()) == 2


def test_it_is_the_same_process_in_the_same_place(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _ = program.communicate(timeout=60)
    assert program.returncode == 0
    assert output.splitlines() == [
        f"end of {program.pid}",
        f"child of {program.pid} in {tmp_path} given an environment",
        "A worker process of pool default was asked to drain and has ended; it is not replaced.",
    ]
