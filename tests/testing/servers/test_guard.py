"""The guard: a program under it ends with its parent, at whatever moment that dies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pleme_redis_django.testing.servers.guarded_process import GUARD
from tests.waiting import wait_until


def start_guard(**order: object) -> subprocess.Popen[bytes]:
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert guard.stdin
    guard.stdin.write(json.dumps({"stop_signal": 15, "user": {}, **order}).encode() + b"\n")
    return guard


def close(guard: subprocess.Popen[bytes]) -> None:
    assert guard.stdin and guard.stdout
    guard.stdin.close()
    guard.stdout.close()


@pytest.mark.process
def test_parent_that_dies_before_it_reads_the_answer_leaves_nothing(tmp_path: Path) -> None:
    scratch, started = tmp_path / "scratch", tmp_path / "started"
    scratch.mkdir()
    # The program says that it runs before the guard can answer into the closed pipe.
    program = f"import os, pathlib, signal; pathlib.Path({str(started)!r}).write_text(str(os.getpid())); signal.pause()"
    guard = start_guard(command=[sys.executable, "-c", program], scratch=str(scratch))
    close(guard)
    wait_until(lambda: guard.poll() is not None, "the guard's end")
    assert not scratch.exists()
    assert not (started.exists() and psutil.pid_exists(int(started.read_text() or 0)))


@pytest.mark.process
def test_program_that_ignores_its_stop_signal_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "guard.py"
    short.write_text(GUARD.read_text().replace("STOP_TIMEOUT_SECONDS = 10", "STOP_TIMEOUT_SECONDS = 0.2"))
    monkeypatch.setattr(sys.modules[__name__], "GUARD", short)
    program = "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    guard = start_guard(command=[sys.executable, "-c", program], scratch=str(tmp_path / "scratch"))
    assert guard.stdout
    pid = int(guard.stdout.readline())
    close(guard)
    wait_until(lambda: guard.poll() is not None, "the guard's end")
    assert not psutil.pid_exists(pid)


@pytest.mark.process
def test_guard_without_an_order_ends(tmp_path: Path) -> None:
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    close(guard)
    assert guard.wait(20) == 0
