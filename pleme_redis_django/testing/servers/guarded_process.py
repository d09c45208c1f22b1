"""The parent's handle of one server that runs under ``guard.py``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from pleme_redis_django.exceptions import ServerUnavailable
from pleme_redis_django.testing.servers.account import Account

GUARD = Path(__file__).with_name("guard.py")
STOP_TIMEOUT_SECONDS = 15.0
LOG_TAIL_CHARACTERS = 2000


class GuardedProcess:
    """One running server; every signal goes through its guard, so no process id is ever reused."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        scratch: Path,
        stop_signal: signal.Signals,
        account: Account,
    ) -> None:
        """Start ``command`` as ``account``; raises ServerUnavailable when it cannot be executed.

        ``scratch`` is removed by the guard when this process dies without a ``stop()``.
        """
        self._log = log
        self._guard = _start_guard(log)
        order = {
            "command": list(command),
            "scratch": str(scratch),
            "stop_signal": int(stop_signal),
            "user": account.popen_arguments(),
        }
        self._send(json.dumps(order))
        answer = _pipe(self._guard.stdout).readline()
        if not answer:
            self._guard.wait()
            raise ServerUnavailable(f"{command[0]} could not be executed. {self.log_tail()}")
        self.pid = int(answer)

    def is_running(self) -> bool:
        return self._guard.poll() is None

    def send_signal(self, signum: signal.Signals) -> None:
        """Pass ``signum`` on to the server, and return once it has it; does nothing when it has ended."""
        if self.is_running():
            self._send(str(int(signum)))
            _pipe(self._guard.stdout).readline()

    def stop(self, signum: signal.Signals) -> None:
        """Send ``signum`` and wait until the server has ended; SIGKILL it after 15 seconds."""
        self.send_signal(signum)
        try:
            self._guard.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGKILL)
            self._guard.wait()
        _pipe(self._guard.stdin).close()
        _pipe(self._guard.stdout).close()

    def log_tail(self) -> str:
        """Return the end of the server's log, for an error message."""
        text = self._log.read_text(errors="replace").strip()
        return f"The end of its log:\n{text[-LOG_TAIL_CHARACTERS:]}" if text else "Its log is empty."

    def _send(self, line: str) -> None:
        try:
            _pipe(self._guard.stdin).write(line.encode() + b"\n")
        except BrokenPipeError:
            self._guard.wait()


def _start_guard(log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - no shell; our own program
            [sys.executable, "-I", "-S", str(GUARD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            bufsize=0,
            # A Ctrl-C in the terminal is for the parent, which stops its servers in order.
            start_new_session=True,
        )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
