"""Jobs that do something a test can see."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.utils.translation import get_language

from pleme_redis_django import JobCancelled, JobContext, ProviderError, job
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.middleware import current_request
from pleme_redis_django.models import Job
from tests.hanging import HANGING_STATEMENT, sleep_for_an_hour
from tests.waiting import wait_for
from tests.workload import isolated_jobs, typed_jobs, waiting_jobs

LONGEST_WAIT_SECONDS = 120.0
# Django looks for jobs in modules of this name alone.
__all__ = ["isolated_jobs", "typed_jobs", "waiting_jobs"]


@job
def noop() -> None:
    """Do nothing, as fast as possible."""


@job
def add(left: int, right: int) -> int:
    return left + right


@job
async def add_slowly(left: int, right: int) -> int:
    await asyncio.sleep(0)
    return left + right


@job(max_retries=2, base_retry_delay=0)
def fail(message: str = "as asked") -> None:
    raise ProviderError(message)


@job
def count(ctx: JobContext, total: int) -> dict[str, Any]:
    for done in range(1, total + 1):
        ctx.progress(done, total)
    return {"attempt": ctx.attempt}


@job
def run_until_cancelled(ctx: JobContext, started: str) -> None:
    """Create the file ``started``, and run until somebody asks to cancel the job."""
    Path(started).touch()
    wait_for(lambda: ctx.cancel_requested, "a cancel is asked for", deadline_seconds=LONGEST_WAIT_SECONDS)
    raise JobCancelled("as asked")


@job
async def await_for_ever(started: str) -> None:
    """Create the file ``started``, and wait until the task is cancelled."""
    await asyncio.to_thread(Path(started).touch)
    await asyncio.Event().wait()


@job
def count_jobs() -> int:
    """Use the ORM, and so a connection of the handler's thread."""
    return Job.objects.count()


@job
def break_the_claimer() -> None:
    """Have the thread that claims in this process end by an error at its next turn."""

    def break_down(agenda: Any) -> Any:
        raise SystemExit("as asked")

    Agenda.next_look = break_down


@job
def hold_own_row(ctx: JobContext, started: str, path: str) -> None:
    """Lock the job's own row, report progress, create the file ``started``, and hold on until ``path`` is there."""
    with transaction.atomic():
        Job.objects.select_for_update().get(id=ctx.job.id)
        ctx.progress(1, 2)
        Path(started).touch()
        wait_for(Path(path).exists, f"{path} appears", deadline_seconds=LONGEST_WAIT_SECONDS)


@job(interrupt=False)
def wait_for_file(started: str, path: str) -> None:
    """Create the file ``started``, and run until the file ``path`` is there, whatever is asked."""
    Path(started).touch()
    wait_for(Path(path).exists, f"{path} appears", deadline_seconds=LONGEST_WAIT_SECONDS)


@job
def measure_delay(sent_at: float) -> float:
    """Return the seconds since ``sent_at`` (``time.time()`` of the enqueuer, on the same machine)."""
    return time.time() - sent_at


@job(max_retries=0)
async def fail_first(ctx: JobContext, total: int, gate: str) -> str:
    """Fail at the first attempt; later do all but the last of ``total``, and that once ``gate`` exists."""
    if ctx.attempt == 1:
        raise ProviderError("the provider is away")
    for done in range(1, total):
        ctx.progress(done, total, "parcels")
    exists = Path(gate).exists
    await asyncio.to_thread(wait_for, exists, "the gate", deadline_seconds=LONGEST_WAIT_SECONDS)
    ctx.progress(total, total, "parcels")
    return "delivered"


@job
def hold_the_interpreter(pipe: str) -> None:
    """Hold the interpreter's lock, as a C extension may, until somebody opens the named pipe to write."""
    ctypes.PyDLL(None).open(os.fsencode(pipe), os.O_RDONLY)


@job(timeout=0.5, kill_after=60, max_retries=0)
def sleep_in_the_database(in_a_transaction: bool) -> None:
    """Wait in a statement for an hour, inside a transaction or not."""
    with (
        transaction.atomic() if in_a_transaction else contextlib.nullcontext(),
        connection.cursor() as cursor,
    ):
        cursor.execute(HANGING_STATEMENT)


@job
async def await_file(started: str, path: str) -> None:
    """Create the file ``started``, and await the file ``path``."""
    await asyncio.to_thread(Path(started).touch)
    await asyncio.to_thread(wait_for, Path(path).exists, "the file", deadline_seconds=LONGEST_WAIT_SECONDS)


@job(timeout=0.5, kill_after=0.5, max_retries=0)
async def hang_the_loop(how: str) -> None:
    """Never come back to the event loop."""
    if how == "spin":
        while True:
            pass
    sleep_for_an_hour()


@job(timeout=0.5, kill_after=0.5, max_retries=0)
def hang(how: str) -> None:
    """Never come back: in bytecode, in a sleep, or in C code that lets other threads run."""
    if how == "spin":
        while True:
            pass
    elif how == "sleep":
        sleep_for_an_hour()
    else:
        ctypes.CDLL(None).pause()


@job
def say_request() -> list[str | None]:
    """Return what the handler sees of the request that enqueued its job."""
    current = current_request()
    return [] if current is None else [current.request_id, current.user_id, get_language()]


@job
def refuse_card(card: str) -> None:
    raise ProviderError(f"the card {card} was refused")
