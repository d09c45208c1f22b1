"""The supervisor: starts worker processes, replaces one that dies, passes signals on.

It holds no thread and no connection, and starts a child by executing the command again, never by
fork: a forked child would share its parent's connections and locks. A child drains when the pipe
on its standard input closes, so that it never outlives its supervisor for long.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import selectors
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from types import FrameType

from pleme_redis_django.management.runworkers.options import (
    END_GRACE_SIGNAL,
    EXIT_CANNOT_START,
    EXIT_DRAINED,
    EXIT_HANDED_BACK,
    EXIT_OK,
)
from pleme_redis_django.management.runworkers.progress import BurstProgress

# A child that dies younger than this has not started properly; the next one waits, longer each time.
YOUNG_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
GIVE_UP_AFTER = 5
TICK_SECONDS = 0.5

_GOOD_EXITS = frozenset({EXIT_OK, EXIT_HANDED_BACK})


@dataclasses.dataclass(slots=True)
class Place:
    """One worker process to keep alive: the pool, and who is there now."""

    pool: str
    process: subprocess.Popen[bytes] | None = None
    worker_id: str = ""
    report_fd: int | None = None
    started_at: float = 0.0
    young_deaths: int = 0
    start_at: float = 0.0
    replaces: str | None = None
    exit_code: int | None = None


class Supervisor:
    """Keeps ``processes`` children of each pool alive until it is told to stop."""

    def __init__(
        self,
        command: Sequence[str],
        pools: Sequence[str],
        processes: int,
        *,
        burst: bool,
        say: Callable[[str], None],
        changed_file: Callable[[], str | None] | None = None,
    ) -> None:
        self._command = list(command)
        self._places = [Place(pool) for pool in pools for _ in range(processes)]
        self._burst = burst
        self._say = say
        self._changed_file = changed_file
        self._progress = BurstProgress(len(self._places)) if burst else None
        self._signals = 0
        self._signals_passed_on = 0
        self._stopping = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Run until every child has ended in good order; return the exit code."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, self._on_signal)
        self._selector.register(wake_read, selectors.EVENT_READ, None)
        while any(place.exit_code is None for place in self._places):
            self._start_missing()
            self._read_pipes(wake_read)
            self._reap()
            self._pass_signals_on()
            self._reload_if_changed()
        if self._progress is not None:
            self._progress.finish()
        return max(place.exit_code or EXIT_OK for place in self._places)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._signals += 1

    def _start_missing(self) -> None:
        now = time.monotonic()
        for place in self._places:
            if place.process is None and place.exit_code is None and now >= place.start_at:
                if self._stopping:
                    place.exit_code = EXIT_OK
                else:
                    self._start(place)

    def _start(self, place: Place) -> None:
        place.worker_id, place.started_at = str(uuid.uuid4()), time.monotonic()
        arguments = ["--child-of-pool", place.pool, "--worker-id", place.worker_id]
        if place.replaces:
            arguments += ["--replaces", place.replaces]
        report_write = -1
        if self._progress is not None:
            place.report_fd, report_write = os.pipe()
            os.set_blocking(place.report_fd, False)
            self._selector.register(place.report_fd, selectors.EVENT_READ, place)
            arguments += ["--report-fd", str(report_write)]
        place.process = subprocess.Popen(  # noqa: S603 - our own command line
            [*self._command, *arguments],
            stdin=subprocess.PIPE,
            pass_fds=[report_write] if report_write >= 0 else [],
        )
        if report_write >= 0:
            os.close(report_write)

    def _read_pipes(self, wake_fd: int) -> None:
        for key, _events in self._selector.select(TICK_SECONDS):
            data = os.read(key.fd, 4096)
            if key.fd == wake_fd:
                continue
            if not data:
                self._close_report(key.data)
            else:
                self._note_report(key.data, data)

    def _note_report(self, place: Place, data: bytes) -> None:
        if self._progress is not None:
            self._progress.note(place.worker_id, data)

    def _close_report(self, place: Place) -> None:
        if place.report_fd is not None:
            # What a child wrote last may come after the look that saw its end.
            with contextlib.suppress(BlockingIOError):
                while data := os.read(place.report_fd, 4096):
                    self._note_report(place, data)
            self._selector.unregister(place.report_fd)
            os.close(place.report_fd)
            place.report_fd = None

    def _reap(self) -> None:
        for place in self._places:
            if place.process is not None and (code := place.process.poll()) is not None:
                if place.process.stdin is not None:
                    place.process.stdin.close()
                self._close_report(place)
                place.process = None
                self._note_exit(place, code)

    def _note_exit(self, place: Place, code: int) -> None:
        if code in (-signal.SIGTERM, -END_GRACE_SIGNAL):
            # A child handles both from before its first claim on: this one had nothing to hand back.
            code = EXIT_OK
        if code == EXIT_DRAINED:
            place.exit_code = EXIT_OK
            self._say(
                f"A worker process of pool {place.pool} was asked to drain and has ended; none replaces it."
            )
            return
        if code in _GOOD_EXITS and (self._stopping or self._burst):
            place.exit_code = code
            return
        if self._stopping:
            place.exit_code = EXIT_HANDED_BACK
            return
        place.replaces = place.worker_id
        young = time.monotonic() - place.started_at < YOUNG_SECONDS
        place.young_deaths = place.young_deaths + 1 if young and code > 0 else 0
        if place.young_deaths >= GIVE_UP_AFTER:
            self._say(
                f"A worker process of pool {place.pool} failed to start {GIVE_UP_AFTER} times; giving up."
            )
            place.exit_code = EXIT_CANNOT_START
            self._signals += 1
            return
        pause = FIRST_PAUSE_SECONDS * 2 ** (place.young_deaths - 1) if place.young_deaths else 0.0
        place.start_at = time.monotonic() + min(pause, LONGEST_PAUSE_SECONDS)
        self._say(f"A worker process of pool {place.pool} {_manner(code)}; starting another one.")

    def _pass_signals_on(self) -> None:
        while self._signals_passed_on < self._signals:
            self._signals_passed_on += 1
            if self._stopping:
                self._end_grace()
                continue
            self._say("Draining: running jobs may end; a second signal hands them back at once.")
            self._stopping = True
            self._drain_children()

    def _drain_children(self) -> None:
        # Not by SIGTERM: a service manager may have sent one to the whole group, and a child takes a
        # second one for the end of its grace. That has a signal of its own from here.
        for place in self._places:
            if place.process is not None and place.process.stdin is not None:
                place.process.stdin.close()

    def _end_grace(self) -> None:
        for place in self._places:
            if place.process is not None:
                place.process.send_signal(END_GRACE_SIGNAL)

    def _reload_if_changed(self) -> None:
        if self._changed_file is not None and not self._stopping and (path := self._changed_file()):
            self._say(f"{path} changed; restarting the workers.")
            self._drain_children()


def _manner(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
