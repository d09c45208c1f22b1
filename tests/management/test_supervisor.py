"""The supervisor, with children that are small programs."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from pleme_redis_django.management.runworkers.child_command import ChildCommand
from pleme_redis_django.management.runworkers.supervisor import Supervisor

pytestmark = pytest.mark.process

# The first of them reports once and hangs; the next one has the supervisor stopped, and drains.
HANGS_ONCE = """
import argparse, os, pathlib, signal
parser = argparse.ArgumentParser()
parser.add_argument("--lifeline-fd", type=int)
parser.add_argument("--report-fd", type=int)
parser.add_argument("--replaces", default="")
options, _ = parser.parse_known_args()
os.write(options.report_fd, b'{"ended": 0}\\n')
marker = pathlib.Path(os.environ["MARKER"])
if not marker.exists():
    marker.touch()
    os.kill(os.getpid(), signal.SIGSTOP)
marker.write_text(options.replaces)
os.kill(os.getppid(), signal.SIGTERM)
os.read(options.lifeline_fd, 1)
"""


def test_a_child_that_hangs_as_a_whole_is_killed_and_replaced(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    said: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    code = Supervisor(
        ChildCommand(
            arguments=(sys.executable, "-c", HANGS_ONCE), environment={**os.environ, "MARKER": str(marker)}
        ),
        ["default"],
        1,
        burst=False,
        max_silence_seconds=1.0,
        say=said.append,
    ).run()
    assert code == 0
    assert "hangs: no sign of life for 1 s; killing it." in said[0]
    assert "was killed by SIGKILL" in said[1]
    assert marker.read_text(), "the next one rescues the jobs of the one that hung"
    assert signal.getsignal(signal.SIGTERM) is before


def test_gives_up_on_workers_that_cannot_start_with_the_code_for_that() -> None:
    said: list[str] = []
    failing = ChildCommand(
        arguments=(sys.executable, "-c", "raise SystemExit(2)"), environment=dict(os.environ)
    )
    code = Supervisor(failing, ["default"], 2, burst=False, max_silence_seconds=0, say=said.append).run()
    assert code == 1
    assert any("failed to start 5 times" in line for line in said)
