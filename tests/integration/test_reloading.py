"""Workers that restart when code changes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for

pytestmark = pytest.mark.process


def test_reload_restarts_the_workers_when_a_file_changes(start_workers: StartWorkers, tmp_path: Path) -> None:
    module = tmp_path / "watched_by_reload.py"
    module.write_text("ANSWER = 1\n")
    workers = start_workers(
        "--reload",
        environment={"PYTHONPATH": str(tmp_path), "FAULT_IMPORTS": "watched_by_reload"},
    )
    workers.wait_for_output("worker started")
    (before,) = workers.children()
    module.write_text("ANSWER = 2\n")
    os.utime(module, (1, 1))
    output = workers.wait_for_output("worker started", times=2)
    assert "watched_by_reload.py changed; restarting the workers." in output
    wait_for(lambda: workers.children() and workers.children() != [before], "another child")
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0
