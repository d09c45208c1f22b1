"""The supervisor: starts worker processes, replaces one that dies, passes signals on.

It imports no Django, holds no thread and no connection, and starts a child by executing the command again, never by
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pleme_redis_django.jobs.worker.executing_page import PageSeen, Stage, new_page_file
from pleme_redis_django.management.runworkers.agreement import (
    END_GRACE_SIGNAL,
    EXIT_CANNOT_START,
    EXIT_DRAINED,
    EXIT_GAVE_BACK,
    EXIT_OK,
    EXIT_RECYCLED,
)
from pleme_redis_django.management.runworkers.places import Place
from pleme_redis_django.management.runworkers.progress import BurstProgress
from pleme_redis_django.management.runworkers.silence import Silence
from pleme_redis_django.management.runworkers.stop_signals import StopSignals

# A child that dies younger than this has not started properly; the next one waits, longer each time.
YOUNG_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
MOST_DOUBLINGS = 10
GIVE_UP_AFTER = 5
TICK_SECONDS = 0.5

_EXITS_IN_GOOD_ORDER = frozenset({EXIT_OK, EXIT_GAVE_BACK, EXIT_DRAINED, EXIT_RECYCLED})
_DRAIN_SIGNALS = frozenset({-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -END_GRACE_SIGNAL})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChildCommand:
    """What the supervisor executes for each worker process, before the arguments of its place."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


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
        self._quarantines = {pool: Place(pool, is_quarantine=True, is_wanted=False) for pool in pools}
        self._burst = burst
        self._silence = Silence(max_silence_seconds, say)
        self._say = say
        self._changed_file = changed_file
        self._progress = BurstProgress() if burst else None
        self._signals = StopSignals()
        self._stopping = False
        self._worst_code = EXIT_OK
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Run until every child has ended in good order; return the exit code."""
        with self._signals.listening(self._selector) as wake_fd:
            while not self._is_over():
                self._start_missing()
                self._read_pipes(wake_fd)
                self._hand_over()
                self._reap()
                self._pass_signals_on()
                self._silence.end_silent(self._all_places())
                self._reload_if_changed()
        self._selector.close()
        if self._progress is not None:
            self._progress.finish()
        return max(self._worst_code, *(place.exit_code or EXIT_OK for place in self._all_places()))

    def _all_places(self) -> Iterator[Place]:
        yield from self._places
        yield from self._quarantines.values()
        yield from [place.leaving for place in self._places if place.leaving is not None]

    def _is_over(self) -> bool:
        if any(place.exit_code is None or place.leaving is not None for place in self._places):
            return False
        if not self._burst:
            # Nobody is left who would report suspects, such as after the drain of every worker.
            self._drain(self._quarantines.values())
        return not any(self._is_at_work(place) for place in self._quarantines.values())

    def _is_at_work(self, quarantine: Place) -> bool:
        is_to_come = self._burst and not self._stopping and quarantine.is_wanted
        return quarantine.process is not None or (is_to_come and quarantine.exit_code is None)

    def _start_missing(self) -> None:
        now = time.monotonic()
        for place in self._all_places():
            if place.process is None and place.exit_code is None and now >= place.start_at:
                if self._stopping:
                    place.exit_code = EXIT_OK
                elif place.is_wanted:
                    self._start(place)

    def _start(self, place: Place) -> None:
        place.worker_id, place.started_at = str(uuid.uuid4()), time.monotonic()
        place.heard_at = place.started_at
        place.draining = place.wants_replacement = False
        # Wanted again when suspects are reported while it runs: it may have looked before they came.
        place.is_wanted = not place.is_quarantine
        place.page_fd = new_page_file()
        lifeline_read, place.lifeline_fd = os.pipe()
        place.report_fd, report_write = os.pipe()
        os.set_blocking(place.report_fd, False)
        self._selector.register(place.report_fd, selectors.EVENT_READ, place)
        own = {"--lifeline-fd": lifeline_read, "--report-fd": report_write, "--page-fd": place.page_fd}
        arguments = ["--child-of-pool", place.pool, "--worker-id", place.worker_id]
        if place.is_quarantine:
            arguments.append("--quarantine")
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
        place.is_wanted = True
        place.young_deaths += 1
        self._pause(place)
        self._say(f"A worker process of pool {place.pool} could not be started ({error}); trying again.")

    def _hand_over(self) -> None:
        """Start a process in the place of one that has reached a limit, and let that one go once it works.

        One place has two processes at most: they have database connections of their own. So whoever reaches a
        limit works on while the one before it still ends what it runs.
        """
        for place in self._places:
            # A burst may run dry before the old process has given back what it has not started.
            may_begin = place.leaving is None and not self._stopping and not self._burst
            if place.wants_replacement and may_begin and place.process is not None and not place.draining:
                leaving = place.hand_over()
                if leaving.report_fd is not None:
                    self._selector.modify(leaving.report_fd, selectors.EVENT_READ, leaving)
                self._say(f"A worker process of pool {place.pool} is to be replaced; starting another one.")
                self._start(place)
            elif place.leaving is not None and not place.leaving.was_told_to_leave and place.works():
                place.leaving.tell_to_leave()

    def _note_left(self, leaving: Place, code: int) -> None:
        """See to the end of a process whose replacement is there already."""
        place = next(each for each in self._places if each.leaving is leaving)
        place.leaving = None
        page = PageSeen.read(leaving.page_fd)
        if page.stage is Stage.STOPPED and code in _EXITS_IN_GOOD_ORDER:
            os.close(leaving.page_fd)
            if self._stopping and code == EXIT_GAVE_BACK:
                self._worst_code = EXIT_GAVE_BACK
            self._say(f"The worker process of pool {place.pool} that was replaced has ended.")
            return
        if self._stopping:
            self._worst_code = EXIT_GAVE_BACK
        # Its replacement was started before: somebody else has to take its jobs over.
        quarantine = self._quarantines[place.pool]
        quarantine.remember(leaving.death(code, page))
        quarantine.is_wanted = True
        self._say(f"The worker process of pool {place.pool} that was replaced {_manner(code)}.")

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
        *lines, place.unread = (place.unread + data).split(b"\n")
        if any(b"suspects" in line for line in lines):
            self._quarantines[place.pool].is_wanted = True
        place.wants_replacement |= any(b"replace" in line for line in lines)
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
            place.report_fd, place.unread = None, b""

    def _close_lifeline(self, place: Place) -> None:
        if place.lifeline_fd is not None:
            os.close(place.lifeline_fd)
            place.lifeline_fd = None

    def _reap(self) -> None:
        for place in self._all_places():
            if place.process is not None and (code := place.process.poll()) is not None:
                self._close_lifeline(place)
                self._close_report(place)
                place.process = None
                self._note_exit(place, code)

    def _note_exit(self, place: Place, code: int) -> None:
        if place.is_leaving:
            self._note_left(place, code)
            return
        page = PageSeen.read(place.page_fd)
        if page.stage is Stage.STARTING and code in _DRAIN_SIGNALS:
            # It handles these from before its first claim on: this one had nothing to give back.
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
                f"A worker process of pool {place.pool} was asked to drain and has ended; it is not replaced."
            )
        elif self._stopping or (self._burst and not place.is_quarantine and code != EXIT_RECYCLED):
            place.exit_code = EXIT_OK if code == EXIT_RECYCLED else code
        elif place.is_quarantine:
            self._look_for_followers(place)
        else:
            self._say(f"A worker process of pool {place.pool} {_manner(code)}; starting another one.")

    def _look_for_followers(self, quarantine: Place) -> None:
        """Have a burst look once more: what the suspects enqueued may have come when the others had ended."""
        places = [place for place in self._places if place.pool == quarantine.pool]
        if self._burst and all(place.exit_code == EXIT_OK for place in places):
            places[0].exit_code = None

    def _note_death(self, place: Place, code: int, page: PageSeen) -> None:
        place.remember(place.death(code, page))
        never_worked = page.stage is Stage.STARTING
        if self._stopping:
            # Ended by itself before it had begun, or with jobs that others have to take over.
            place.exit_code = EXIT_CANNOT_START if never_worked and code > 0 else EXIT_GAVE_BACK
            return
        is_young = time.monotonic() - place.started_at < YOUNG_SECONDS and (never_worked or code >= 0)
        place.young_deaths = place.young_deaths + 1 if is_young else 0
        # While the one that it would replace still works, a start that fails is no reason to give up.
        may_give_up = not place.is_quarantine and place.leaving is None
        if never_worked and place.young_deaths >= GIVE_UP_AFTER and may_give_up:
            self._say(
                f"A worker process of pool {place.pool} failed to start {GIVE_UP_AFTER} times; giving up."
            )
            place.exit_code = EXIT_CANNOT_START
            self._signals.note()
            return
        # Of a quarantine process too: who comes next has to settle this death.
        place.is_wanted = True
        self._pause(place)
        self._say(f"A worker process of pool {place.pool} {_manner(code)}; starting another one.")

    def _pause(self, place: Place) -> None:
        # Bounded, for a float has no room for the pause after a thousand of them.
        doublings = min(place.young_deaths - 1, MOST_DOUBLINGS)
        pause = FIRST_PAUSE_SECONDS * 2**doublings if place.young_deaths else 0.0
        place.start_at = time.monotonic() + min(pause, LONGEST_PAUSE_SECONDS)

    def _pass_signals_on(self) -> None:
        for _signal in range(self._signals.take()):
            if self._stopping:
                self._end_grace()
                continue
            self._say("Draining: waiting for running jobs; a second signal gives them back at once.")
            self._stopping = True
            self._drain_children()

    def _drain_children(self) -> None:
        # Not by SIGTERM: a service manager may have sent one to the whole group, and a child takes a
        # second one for the end of its grace. That has a signal of its own from here.
        self._drain(self._all_places())

    def _drain(self, places: Iterable[Place]) -> None:
        for place in places:
            place.draining = place.process is not None
            self._close_lifeline(place)

    def _end_grace(self) -> None:
        for place in self._all_places():
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
