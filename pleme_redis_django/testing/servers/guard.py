"""A program that runs one server, and stops it when the process that asked for it is gone.

Started as ``python -I guard.py`` with the standard library only. It reads one line of JSON (the
order) from its standard input, then one signal number a line, which it passes on to the server; it answers with
an empty line once the server has it, and when it is to stop, once it has stopped.
The end of its input means that the parent has let go or died, even by SIGKILL: the server is stopped
and its scratch folder removed. Linux could do this with PR_SET_PDEATHSIG, but that signal is sent
when the *thread* that forked ends, and is cleared when the server changes its user.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any

STOP_TIMEOUT_SECONDS = 10


def main() -> int:
    lines = _Lines(0)
    if not (line := lines.read()):
        return 0  # The parent was killed before it could ask for anything.
    order: dict[str, Any] = json.loads(line)
    # No shell, and the command comes from our own parent.
    server = subprocess.Popen(  # noqa: S603 - no shell; our own program
        order["command"], stdin=subprocess.DEVNULL, stdout=2, **order["user"]
    )
    # A parent that was killed just now reads no answer; its end is then seen by _obey.
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"%d\n" % server.pid)
    parent_is_gone = threading.Event()
    threading.Thread(target=_obey, args=(lines, server, order, parent_is_gone), daemon=True).start()
    code = server.wait()
    if parent_is_gone.is_set():
        shutil.rmtree(order["scratch"], ignore_errors=True)
    return code if code >= 0 else 128 - code


def _obey(
    lines: _Lines, server: subprocess.Popen[bytes], order: dict[str, Any], parent_is_gone: threading.Event
) -> None:
    while line := lines.read():
        _pass_on(server, int(line))
        with contextlib.suppress(BrokenPipeError):
            os.write(1, b"\n")
    parent_is_gone.set()
    server.send_signal(order["stop_signal"])
    try:
        server.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()


def _pass_on(server: subprocess.Popen[bytes], signum: int) -> None:
    server.send_signal(signum)
    if signum == signal.SIGSTOP:
        # Its end is left for main() to learn of, and may have been already.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


class _Lines:
    """Lines of a file descriptor, without sys.stdin, whose lock a daemon thread must not hold at exit."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pending = b""

    def read(self) -> bytes:
        """Return the next line, or nothing at the end of the input."""
        while b"\n" not in self._pending:
            received = os.read(self._descriptor, 65536)
            if not received:
                return b""
            self._pending += received
        line, _, self._pending = self._pending.partition(b"\n")
        return line


if __name__ == "__main__":
    sys.exit(main())
