"""Places: the worker processes that a supervisor keeps alive, who is there now, and who died there."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess

from pleme_redis_django.jobs.worker.executing_page import PageSeen, Stage

# A replacement that dies before it has rescued leaves that to the next one.
DEATHS_REMEMBERED = 3
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
    is_quarantine: bool = False
    """Its process runs the suspects of the pool, and is there only while there are some."""
    is_wanted: bool = True
    """Whether a process is to be started when none is there."""
    unread: bytes = b""
    """The beginning of a report of which the rest has not come yet."""
    wants_replacement: bool = False
    """Whether its process has reached a limit, or drains already."""
    leaving: Place | None = None
    """The process before, which works on until its replacement does, and then ends what it runs."""
    is_leaving: bool = False
    was_told_to_leave: bool = False

    def hand_over(self) -> Place:
        """Move the process that is here out, so that another one can be started; return where it is now."""
        self.leaving = dataclasses.replace(self, deaths=[], is_leaving=True, is_wanted=False)
        self.process = self.report_fd = self.lifeline_fd = None
        self.page_fd, self.unread = -1, b""
        self.wants_replacement, self.start_at = False, 0.0
        return self.leaving

    def remember(self, death: Death) -> None:
        """Keep a death for the next child, and forget those that a former child has surely settled."""
        self.deaths.append(death)
        while len(self.deaths) > DEATHS_REMEMBERED:
            os.close(self.deaths.pop(0).page_fd)

    def works(self) -> bool:
        """Whether a process is there that claims, or is about to."""
        return self.process is not None and PageSeen.read(self.page_fd).stage is Stage.WORKING

    def tell_to_leave(self) -> None:
        """Tell the process that another one has taken its place."""
        self.was_told_to_leave = self.draining = True
        # It may drain already, or have ended.
        if self.lifeline_fd is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self.lifeline_fd, b"\n")

    def death(self, code: int, page: PageSeen) -> Death:
        """Return the death of the process, which has shown this page."""
        died_of_itself = code >= 0 or code in _OWN_DEATHS
        return Death(
            worker_id=page.worker_id or self.worker_id,
            page_fd=self.page_fd,
            died_of_itself=died_of_itself and page.stage is Stage.WORKING and not self.draining,
        )
