"""Stores that fail on purpose; ``POOLS["default"]["store"]`` names them, so that the package knows nothing of it.

KillingJobStore dies with its process, by seeded chance, at these points:

- after_claim: the claim is committed, and nobody has started
- before_flush: handlers have ended, and none of their endings is written
- after_flush: endings are committed, and the process has not learned of it
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore

POINTS = ("after_claim", "before_flush", "after_flush")


class KillingJobStore(OrmJobStore[Job]):
    """Reads ``FAULT_KILLS``: seed, chance of each death, the file whose existence ends the killing."""

    def __init__(self) -> None:
        super().__init__(Job)
        orders = json.loads(os.environ["FAULT_KILLS"])
        self._chance: float = orders["chance"]
        self._peace = Path(orders["peace"])
        self._notes = Path(orders["notes"])
        self._random = random.Random(f"{orders['seed']} {os.getpid()}")

    def claim_jobs(self, worker_id: str, limit: int, selection: JobSelection) -> Sequence[Job]:
        jobs = super().claim_jobs(worker_id, limit, selection)
        if jobs:
            self._die_perhaps("after_claim")
        return jobs

    def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]:
        self._die_perhaps("before_flush")
        accepted = super().finish_jobs(endings)
        self._die_perhaps("after_flush")
        return accepted

    def _die_perhaps(self, point: str) -> None:
        if self._random.random() < self._chance and not self._peace.exists():
            note_death(self._notes, point)
            os.kill(os.getpid(), signal.SIGKILL)


def note_death(notes: Path, point: str) -> None:
    """Append a line that this process is about to die; short appends of several processes do not mix."""
    with notes.open("a") as file:
        file.write(f"{point}\n")


def deaths(notes: Path) -> dict[str, Any]:
    """Return how many processes have died at each point."""
    lines = notes.read_text().split() if notes.exists() else []
    return {point: lines.count(point) for point in sorted(set(lines))}
