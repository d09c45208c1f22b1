"""Stores of worker processes: one that stands still between a claim and its admission, for a test to strike there, and
one that has no net below it."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore
from tests.waiting import wait_for

LONGEST_WAIT_SECONDS = 120.0


class InterruptedJobStore(OrmJobStore[Job]):
    """Reads ``FAULT_ADMISSION``, a folder: the first process to get there writes its id to ``reached``, and goes on
    when ``go`` exists."""

    def __init__(self) -> None:
        super().__init__(Job)
        self._folder = Path(os.environ["FAULT_ADMISSION"])
        admit = self._flow.admit

        def admit_later(claimant: Any, jobs: Sequence[Job]) -> Sequence[Job]:
            self._stand_still_once()
            return admit(claimant, jobs)

        self._flow.admit = admit_later

    def _stand_still_once(self) -> None:
        with suppress(FileExistsError), (self._folder / "reached").open("x") as reached:
            reached.write(f"{os.getpid()}\n")
            reached.flush()
            go = self._folder / "go"
            wait_for(go.exists, "the test lets it go on", deadline_seconds=LONGEST_WAIT_SECONDS)


class NoNet:
    """Never finds who was overlooked: only whoever makes a place free lets others in."""

    def release_overlooked(self, *, at_once: bool = False) -> Collection[str]:
        return ()


class NetlessJobStore(NoNet, OrmJobStore[Job]):
    """Has no net."""

    def __init__(self) -> None:
        super().__init__(Job)


class InterruptedNetlessJobStore(NoNet, InterruptedJobStore):
    """Stands still, and has no net."""
