"""The supervisor: starts worker processes, replaces one that dies, passes signals on.

It holds no thread and no connection, and starts a child by executing the command again, never by
fork: a forked child would share its parent's connections and locks. A child drains when its
lifeline closes, a pipe that nothing is written to, so that it never outlives its supervisor for long.
What a child reports comes by another pipe; one that is silent there for too long hangs, and is killed.
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
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from pleme_redis_django.jobs.executing_page import PageSeen, Stage, new_page_file
from pleme_redis_django.management.runworkers.child_command import ChildCommand
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
# A turn that took so long means that this process did not run, as after Ctrl-Z.
AWAY_SECONDS = 10.0

# A replacement that dies before it has rescued leaves that to the next one.
DEATHS_REMEMBERED = 3

_EXITS_IN_GOOD_ORDER = frozenset({EXIT_OK, EXIT_HANDED_BACK, EXIT_DRAINED})
_DRAIN_SIGNALS = frozenset({-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -END_GRACE_SIGNAL})
# What a process does to itself, or the kernel to one that has taken too much. Any other signal is
# somebody's wish, and says nothing of the jobs.
_OWN_DEATHS = frozenset(
    -number
    for number in (
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGKILL,
    )
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """The end of a child, for the one that replaces it."""

    worker_id: str
    page_fd: int
    died_of_itself: bool

    def arguments(self) -> list[str]:
        """Return what tells the replacement of it."""
        return ["--replaces", f"{self.worker_id}:{self.page_fd}" if self.died_of_itself else self.worker_id]


@dataclasses.dataclass(slots=True)
class Place:
    """One worker process to keep alive: the pool, and who is there now."""

    pool: str
    process: subprocess.Popen[bytes] | None = None
    worker_id: str = ""
    lifeline_fd: int | None = None
    page_fd: int = -1
    report_fd: int | None = None
    heard_at: float = 0.0
    started_at: float = 0.0
    draining: bool = False
    young_deaths: int = 0
    start_at: float = 0.0
    deaths: list[Death] = dataclasses.field(default_factory=list)
    exit_code: int | None = None

    def remember(self, death: Death) -> None:
        """Keep a death for the next child, and forget those that a former child has surely settled."""
        self.deaths.append(death)
        while len(self.deaths) > DEATHS_REMEMBERED:
            os.close(self.deaths.pop(0).page_fd)


class Supervisor:
    """Keeps ``processes`` children of each pool alive until it is told to stop."""

    def __init__(
        self,
        command: ChildCommand,
        pools: Sequence[str],
        processes: int,
        *,
        burst: bool,
        max_silence_seconds: float,
        say: Callable[[str], None],
        changed_file: Callable[[], str | None] | None = None,
    ) -> None:
        self._command = command
        self._places = [Place(pool) for pool in pools for _ in range(processes)]
        self._burst = burst
        self._max_silence_seconds = max_silence_seconds
        self._looked_at = time.monotonic()
        self._say = say
        self._changed_file = changed_file
        self._progress = BurstProgress(len(self._places)) if burst else None
        self._signals = 0
        self._signals_passed_on = 0
        self._stopping = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Run until every child has ended in good order; return the exit code."""
        with self._listening_to_signals() as wake_fd:
            while any(place.exit_code is None for place in self._places):
                self._start_missing()
                self._read_pipes(wake_fd)
                self._reap()
                self._pass_signals_on()
                self._kill_silent()
                self._reload_if_changed()
        self._selector.close()
        if self._progress is not None:
            self._progress.finish()
        return max(place.exit_code or EXIT_OK for place in self._places)

    @contextlib.contextmanager
    def _listening_to_signals(self) -> Iterator[int]:
        """Note signals, and wake the selector by the descriptor; a program that called gets its own back."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        wake_before = signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGCHLD]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored by nohup, which is to stay so
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        self._selector.register(wake_read, selectors.EVENT_READ, None)
        try:
            yield wake_read
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wake_before)
            os.close(wake_read)
            os.close(wake_write)

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
        place.heard_at = place.started_at
        place.draining = False
        place.page_fd = new_page_file()
        lifeline_read, place.lifeline_fd = os.pipe()
        place.report_fd, report_write = os.pipe()
        os.set_blocking(place.report_fd, False)
        self._selector.register(place.report_fd, selectors.EVENT_READ, place)
        own = {"--lifeline-fd": lifeline_read, "--report-fd": report_write, "--page-fd": place.page_fd}
        arguments = ["--child-of-pool", place.pool, "--worker-id", place.worker_id]
        for option, descriptor in own.items():
            arguments += [option, str(descriptor)]
        for death in place.deaths:
            arguments += death.arguments()
        try:
            place.process = subprocess.Popen(  # noqa: S603 - our own command line
                [*self._command.arguments, *arguments],
                env=self._command.environment,
                # A program that a handler starts, and that reads its standard input, finds the end of it.
                stdin=subprocess.DEVNULL,
                pass_fds=[*own.values(), *(death.page_fd for death in place.deaths)],
            )
        except OSError as error:
            # Too many processes, too little memory: the others live on, and this one comes later.
            self._note_failed_start(place, error)
        os.close(lifeline_read)
        os.close(report_write)

    def _note_failed_start(self, place: Place, error: OSError) -> None:
        self._close_lifeline(place)
        self._close_report(place)
        os.close(place.page_fd)
        place.young_deaths += 1
        self._pause(place)
        self._say(f"A worker process of pool {place.pool} could not be started ({error}); trying again.")

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
        place.heard_at = time.monotonic()
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

    def _close_lifeline(self, place: Place) -> None:
        if place.lifeline_fd is not None:
            os.close(place.lifeline_fd)
            place.lifeline_fd = None

    def _reap(self) -> None:
        for place in self._places:
            if place.process is not None and (code := place.process.poll()) is not None:
                self._close_lifeline(place)
                self._close_report(place)
                place.process = None
                self._note_exit(place, code)

    def _note_exit(self, place: Place, code: int) -> None:
        page = PageSeen.read(place.page_fd)
        if page.stage is Stage.STARTING and code in _DRAIN_SIGNALS:
            # It handles these from before its first claim on: this one had nothing to hand back.
            self._note_good_exit(place, EXIT_OK)
        elif page.stage is Stage.STOPPED and code in _EXITS_IN_GOOD_ORDER:
            self._note_good_exit(place, code)
        else:
            # A code alone proves nothing: a handler may have called os._exit().
            self._note_death(place, code, page)

    def _note_good_exit(self, place: Place, code: int) -> None:
        os.close(place.page_fd)
        place.young_deaths = 0
        if code == EXIT_DRAINED:
            place.exit_code = EXIT_OK
            self._say(
                f"A worker process of pool {place.pool} was asked to drain and has ended; none replaces it."
            )
        elif self._stopping or self._burst:
            place.exit_code = code
        else:
            self._say(f"A worker process of pool {place.pool} {_manner(code)}; starting another one.")

    def _note_death(self, place: Place, code: int, page: PageSeen) -> None:
        died_of_itself = code >= 0 or code in _OWN_DEATHS
        place.remember(
            Death(
                worker_id=page.worker_id or place.worker_id,
                page_fd=place.page_fd,
                died_of_itself=died_of_itself and page.stage is Stage.WORKING and not place.draining,
            )
        )
        never_worked = page.stage is Stage.STARTING
        if self._stopping:
            # Ended by itself before it had begun, or with jobs that others have to take over.
            place.exit_code = EXIT_CANNOT_START if never_worked and code > 0 else EXIT_HANDED_BACK
            return
        is_young = time.monotonic() - place.started_at < YOUNG_SECONDS and (never_worked or code >= 0)
        place.young_deaths = place.young_deaths + 1 if is_young else 0
        if never_worked and place.young_deaths >= GIVE_UP_AFTER:
            self._say(
                f"A worker process of pool {place.pool} failed to start {GIVE_UP_AFTER} times; giving up."
            )
            place.exit_code = EXIT_CANNOT_START
            self._signals += 1
            return
        self._pause(place)
        self._say(f"A worker process of pool {place.pool} {_manner(code)}; starting another one.")

    def _pause(self, place: Place) -> None:
        pause = FIRST_PAUSE_SECONDS * 2 ** (place.young_deaths - 1) if place.young_deaths else 0.0
        place.start_at = time.monotonic() + min(pause, LONGEST_PAUSE_SECONDS)

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
            place.draining = place.process is not None
            self._close_lifeline(place)

    def _end_grace(self) -> None:
        for place in self._places:
            if place.process is not None:
                place.process.send_signal(END_GRACE_SIGNAL)

    def _kill_silent(self) -> None:
        """End a child that hangs as a whole: others have taken its jobs, and its slots are lost."""
        now = time.monotonic()
        was_away = now - self._looked_at > AWAY_SECONDS
        self._looked_at = now
        for place in self._places:
            if was_away:
                # The supervisor itself was stopped, most likely with its children: they get their time anew.
                place.heard_at = now
            silent = now - place.heard_at
            if place.process is not None and 0 < self._max_silence_seconds < silent:
                self._say(
                    f"A worker process of pool {place.pool} (pid {place.process.pid}) hangs: no sign of life for "
                    f"{silent:.0f} s; killing it."
                )
                place.heard_at = now
                place.process.kill()

    def _reload_if_changed(self) -> None:
        if self._changed_file is not None and not self._stopping and (path := self._changed_file()):
            self._say(f"{path} changed; restarting the workers.")
            self._drain_children()


def _manner(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
