"""The supervisor, with children that are small programs."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pleme_redis_django.management.runworkers import supervisor
from pleme_redis_django.management.runworkers.agreement import EXIT_CANNOT_START
from pleme_redis_django.management.runworkers.supervisor import (
    FIRST_PAUSE_SECONDS,
    GIVE_UP_AFTER,
    ChildCommand,
    Supervisor,
)

pytestmark = pytest.mark.process

# The first of them reports once and hangs; the next one has the supervisor stopped, and drains.
HANGS_ONCE = """
import argparse, os, pathlib, signal
parser = argparse.ArgumentParser()
parser.add_argument("--lifeline-fd", type=int)
parser.add_argument("--report-fd", type=int)
parser.add_argument("--page-fd", type=int)
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
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage, Stage
ExecutingPage(1, "11111111-1111-4111-8111-111111111111", fd=options.page_fd).note_stage(Stage.STOPPED)
"""
# The first of them asks for a replacement and works until it is told to leave; the next ones cannot start, and the
# last one works, and has the supervisor stopped once the first has left.
REPLACED_AT_LAST = """
import argparse, os, pathlib, signal
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage, Stage
parser = argparse.ArgumentParser()
parser.add_argument("--lifeline-fd", type=int)
parser.add_argument("--report-fd", type=int)
parser.add_argument("--page-fd", type=int)
options, _ = parser.parse_known_args()
starts = pathlib.Path(os.environ["MARKER"])
number = int(starts.read_text() or 0) + 1 if starts.exists() else 1
starts.write_text(str(number))
if 1 < number < int(os.environ["WORKS_FROM"]):
    raise SystemExit(2)
page = ExecutingPage(1, f"11111111-1111-4111-8111-{number:012}", fd=options.page_fd)
page.note_stage(Stage.WORKING)
os.write(options.report_fd, b'{"ended": 0, "replace": true}\\n' if number == 1 else b'{"ended": 0}\\n')
told = os.read(options.lifeline_fd, 1)
page.note_stage(Stage.STOPPED)
if number == 1:
    starts.with_suffix(".left").write_text(repr(told))
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(75)
"""
KILLS_ITSELF = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def supervisor_of(
    *command: str, say: Callable[[str], None], max_silence_seconds: float = 1.0, **environment: str
) -> Supervisor:
    return Supervisor(
        ChildCommand(arguments=command, environment={**os.environ, **environment}),
        ["default"],
        1,
        burst=False,
        max_silence_seconds=max_silence_seconds,
        say=say,
    )


def test_a_child_that_hangs_as_a_whole_is_killed_and_replaced(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    said: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    code = supervisor_of(sys.executable, "-c", HANGS_ONCE, say=said.append, MARKER=str(marker)).run()
    assert code == 0
    assert "hangs: no heartbeat for 1 s; killing it." in said[0]
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


@pytest.mark.parametrize("is_quarantine", [False, True])
def test_a_child_that_cannot_be_started_is_tried_again_later(tmp_path: Path, is_quarantine: bool) -> None:
    """Popen raises OSError when there are too many processes, or too little memory, or no such program."""
    said: list[str] = []
    supervisor = supervisor_of(str(tmp_path / "missing"), say=said.append)
    place = supervisor._quarantines["default"] if is_quarantine else supervisor._places[0]
    for failures in (1, 2):
        before = time.monotonic()
        place.start_at, place.is_wanted = 0.0, True
        supervisor._start_missing()
        assert place.process is None
        assert place.exit_code is None
        assert place.is_wanted
        assert place.start_at >= before + FIRST_PAUSE_SECONDS * failures
        assert len([text for text in said if "could not be started" in text]) >= failures


def test_a_child_that_is_killed_while_it_starts_counts_as_one_that_fails_to_start() -> None:
    """As when the kernel kills it for its memory while it imports: no restart without a pause, and an end of it."""
    said: list[str] = []
    supervisor = supervisor_of(sys.executable, "-c", KILLS_ITSELF, say=said.append)
    (place,) = supervisor._places
    for deaths in range(1, GIVE_UP_AFTER + 1):
        place.start_at = 0.0
        supervisor._start_missing()
        process = place.process
        assert process is not None
        process.wait()
        supervisor._reap()
        assert place.young_deaths == deaths
        assert (place.start_at > 0.0) == (deaths < GIVE_UP_AFTER)
        assert place.exit_code == (EXIT_CANNOT_START if deaths == GIVE_UP_AFTER else None)
    assert "giving up" in said[-1]


def test_a_process_works_on_while_no_replacement_can_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken code that was copied over what runs is no reason to stop what runs."""
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.001)
    marker, said = tmp_path / "marker", list[str]()
    works_from = GIVE_UP_AFTER + 3
    one = supervisor_of(
        *(sys.executable, "-c", REPLACED_AT_LAST),
        say=said.append,
        max_silence_seconds=0,
        MARKER=str(marker),
        WORKS_FROM=str(works_from),
    )
    assert one.run() == 0
    assert not any("giving up" in line for line in said)
    assert int(marker.read_text()) == works_from
    assert marker.with_suffix(".left").read_text() == repr(b"\n"), "it is told once another one works"
    assert any("that was replaced has ended" in line for line in said)
