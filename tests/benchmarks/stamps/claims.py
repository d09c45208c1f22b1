"""Stamps in a worker process; each claim that got something is a line of a file."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.backends.signals import connection_created

from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints

FOLDER_VARIABLE = "STAMPS_FOLDER"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTimes:
    """When each step of one claim was done (``time.time()``)."""

    heard_at: float
    sent_at: float
    answered_at: float
    returned_at: float


def stamp() -> None:
    """Have this process write when its hints came, and when its claims were sent and answered."""
    if FOLDER_VARIABLE in os.environ:
        _Stamps(Path(os.environ[FOLDER_VARIABLE])).begin()


def read(folder: Path) -> Iterator[tuple[UUID, ClaimTimes]]:
    """Return what the processes have written, each job with the claim that got it."""
    for file in folder.iterdir():
        for line in file.read_text().splitlines():
            job_ids, *times = json.loads(line)
            heard_at, sent_at, answered_at, returned_at = times
            for job_id in job_ids:
                yield (
                    UUID(job_id),
                    ClaimTimes(
                        heard_at=heard_at, sent_at=sent_at, answered_at=answered_at, returned_at=returned_at
                    ),
                )


class _Stamps:
    def __init__(self, folder: Path) -> None:
        self._heard_at = 0.0
        self._of_thread = threading.local()
        self._file = (folder / str(os.getpid())).open("a", buffering=1)

    def begin(self) -> None:
        wait_for_hint, claim_jobs = RedisHints.wait_for_hint, OrmJobStore.claim_jobs

        def stamped_wait(hints: RedisHints, timeout_seconds: float) -> bool:
            heard = wait_for_hint(hints, timeout_seconds)
            self._heard_at = time.time()
            return heard

        def stamped_claim(store: OrmJobStore[Any], *arguments: Any) -> Any:
            self._of_thread.executed = []
            jobs = claim_jobs(store, *arguments)
            if jobs:
                times = (self._heard_at, *self._of_thread.executed[-1], time.time())
                self._write([str(job.id) for job in jobs], times)
            return jobs

        RedisHints.wait_for_hint = stamped_wait
        OrmJobStore.claim_jobs = stamped_claim
        connection_created.connect(self._stamp_statements, weak=False)

    def _stamp_statements(self, connection: Any, **_: object) -> None:
        connection.execute_wrappers.append(self._execute)

    def _execute(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        sent_at = time.time()
        try:
            return execute(*arguments)
        finally:
            self._of_thread.executed = [(sent_at, time.time())]

    def _write(self, job_ids: list[str], times: tuple[float, ...]) -> None:
        self._file.write(json.dumps([job_ids, *times]) + "\n")
