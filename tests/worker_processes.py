"""WorkerProcesses: a ``runworkers`` of a test, with its output, its children, and its certain end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.processes import ending_with_this_process
from tests.waiting import wait_for

# A killed worker's jobs run again within lease + sweep; the same proportions as the defaults.
SHORT_LEASES = {
    "heartbeat_seconds": 0.5,
    "lease_seconds": 2,
    "lease_sweep_seconds": 0.5,
    "poll_timeout": 2,
    "stale_check_interval_seconds": 5,
}


class WorkerProcesses:
    """A supervisor in a session of its own, so that its end takes every child with it."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        log: Path,
        program: Sequence[str] = ("-m", "django", "runworkers"),
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ending_with_this_process([sys.executable, *program, *arguments]),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text: str, *, times: int = 1) -> str:
        """Return the whole output once ``text`` has been printed so often."""
        wait_for(
            lambda: self.output().count(text) >= times or self._ended_early(text),
            f"{times} x {text!r} in the output",
            details=self.output,
        )
        return self.output()

    def children(self) -> list[int]:
        """Return the pids of the worker processes that run now."""
        try:
            return [
                int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            ]
        except OSError:
            return []

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor alone."""
        self._process.send_signal(number)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor and its children, as a service manager may do."""
        os.killpg(self.pid, number)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def exit_code(self, deadline_seconds: float = 30.0) -> int:
        """Return the exit code once the supervisor has ended."""
        wait_for(
            lambda: not self.is_running(), "the end", deadline_seconds=deadline_seconds, details=self.output
        )
        return self._process.returncode

    def end(self) -> None:
        """Kill whatever is left of the session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def _ended_early(self, text: str) -> bool:
        if not self.is_running() and text not in self.output():
            raise AssertionError(f"ended with {self._process.returncode} without {text!r}:\n{self.output()}")
        return False


def process_runs(pid: int) -> bool:
    """Whether the process exists and is no zombie of its parent."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
