"""Places: the worker processes that a supervisor keeps alive, who is there now, and who died there."""

from __future__ import annotations

import dataclasses
import os
import subprocess

# A replacement that dies before it has rescued leaves that to the next one.
DEATHS_REMEMBERED = 3


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

    def remember(self, death: Death) -> None:
        """Keep a death for the next child, and forget those that a former child has surely settled."""
        self.deaths.append(death)
        while len(self.deaths) > DEATHS_REMEMBERED:
            os.close(self.deaths.pop(0).page_fd)
