"""Processes that tests start: they end with a test run that is killed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.waiting import wait_until
from tests.worker_processes import process_runs

# It starts a process as a test does, says its process id, and never ends it.
TEST_RUN = """
import pathlib, signal, sys
from tests.worker_processes import WorkerProcesses

program = ("-c", "import signal; print('up', flush=True); signal.pause()")
workers = WorkerProcesses((), {}, pathlib.Path(sys.argv[1]), program)
workers.wait_for_output("up")
print(workers.pid, flush=True)
signal.pause()
"""


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv (util-linux) is not there")
def test_worker_processes_end_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", TEST_RUN, str(tmp_path / "log")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout
    with run.stdout:
        pid = int(run.stdout.readline())
        assert process_runs(pid)
        run.kill()
        run.wait()
        wait_until(lambda: not process_runs(pid), "the end of the process")
