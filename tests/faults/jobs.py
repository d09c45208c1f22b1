"""Jobs that leave effects behind, wait to be let go, and kill their own process at a chosen moment."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import random
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from pleme_redis_django import Job, JobContext, job
from pleme_redis_django.jobs.maintenance import dead_workers
from tests.faults import firing_deaths
from tests.faults.effects import leave
from tests.faults.failing_stores import note_death
from tests.waiting import wait_for

LONGEST_WAIT_SECONDS = 120.0
MANY_RETRIES = 1_000
# For the processes of a test whose deaths are nobody's fault: who comes back need not be kept apart for long.
SOON_BACK = {"FAULT_APART_SECONDS": "0.5"}

if "FAULT_APART_SECONDS" in os.environ:
    dead_workers.APART_SECONDS = float(os.environ["FAULT_APART_SECONDS"])


@job(max_retries=MANY_RETRIES, base_retry_delay=0)
def record(ctx: JobContext, seconds: float = 0.0) -> int:
    """Leave an effect at the start and at the end of ``seconds`` of work."""
    leave(ctx, "begin")
    time.sleep(seconds)
    leave(ctx, "end")
    return ctx.attempt


@job(max_retries=MANY_RETRIES, base_retry_delay=0)
async def record_async(ctx: JobContext, seconds: float = 0.0) -> int:
    """Do as ``record`` does, in the event loop."""
    await sync_to_async(leave)(ctx, "begin")
    await asyncio.sleep(seconds)
    await sync_to_async(leave)(ctx, "end")
    return ctx.attempt


@job(max_retries=MANY_RETRIES, base_retry_delay=0)
def wait_for_file(ctx: JobContext, path: str) -> int:
    """Run until ``path`` exists; ``{attempt}`` in it is the number of the attempt."""
    leave(ctx, "begin")
    _wait_for(Path(path.replace("{attempt}", str(ctx.attempt))))
    leave(ctx, "end")
    return ctx.attempt


@job(max_retries=MANY_RETRIES, base_retry_delay=0)
async def wait_for_file_async(ctx: JobContext, path: str) -> int:
    """Run until ``path`` exists, as a coroutine whose waiting blocks a thread."""
    await sync_to_async(leave)(ctx, "begin")
    await sync_to_async(_wait_for)(Path(path))
    await sync_to_async(leave)(ctx, "end")
    return ctx.attempt


@job(max_retries=MANY_RETRIES, base_retry_delay=0)
def fail_until(ctx: JobContext, path: str) -> int:
    """Fail until ``path`` exists."""
    leave(ctx, "begin")
    if not Path(path).exists():
        raise RuntimeError(f"{path} is not there yet")
    leave(ctx, "end")
    return ctx.attempt


@job(max_retries=MANY_RETRIES, base_retry_delay=0)
def fail_at_first(ctx: JobContext, failures: int) -> int:
    """Fail so many times, besides the deaths of its processes."""
    leave(ctx, "begin")
    if ctx.job.retry_count < failures:
        raise RuntimeError(f"failure {ctx.job.retry_count + 1} of {failures}")
    leave(ctx, "end")
    return ctx.attempt


@job(max_retries=MANY_RETRIES, base_retry_delay=0)
def wait_and_fail(ctx: JobContext, path: str) -> None:
    """Fail once ``path`` exists."""
    leave(ctx, "begin")
    _wait_for(Path(path))
    raise RuntimeError(f"{path} is there")


@job(max_retries=1, base_retry_delay=0)
def kill_own_process(ctx: JobContext, path: str = "") -> None:
    """Die with the whole process, every time; once ``path`` exists, when there is one."""
    leave(ctx, "begin")
    if path:
        _wait_for(Path(path))
    os.kill(os.getpid(), signal.SIGKILL)


@job(max_retries=1, base_retry_delay=0)
def kill_own_container(ctx: JobContext) -> None:
    """Die with the supervisor and all its processes, every time, once the start of this run is recorded."""
    leave(ctx, "begin")
    wait_for(
        lambda: Job.objects.filter(id=ctx.job.id, started_at__isnull=False).exists(),
        "its start is recorded",
        deadline_seconds=LONGEST_WAIT_SECONDS,
    )
    os.killpg(0, signal.SIGKILL)


@job
def enqueue_a_record(ctx: JobContext) -> None:
    """Enqueue another job, as the last thing of this one."""
    record.enqueue()


@job(max_retries=1, base_retry_delay=0)
def exit_own_process(ctx: JobContext, code: int) -> None:
    """End the whole process with an exit code, every time, past everything that Python does at an exit."""
    leave(ctx, "begin")
    os._exit(code)


@job(max_retries=MANY_RETRIES, base_retry_delay=0)
def kill_own_process_once(ctx: JobContext, path: str) -> int:
    """Die with the whole process in the middle of the work, the first time only."""
    leave(ctx, "begin")
    marker = Path(path)
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    leave(ctx, "end")
    return ctx.attempt


@job(max_retries=MANY_RETRIES, base_retry_delay=0)
def die_midway(ctx: JobContext, chance: float) -> int:
    """Die with the whole process between two effects, by a chance that each attempt has anew."""
    leave(ctx, "begin")
    orders = json.loads(os.environ["FAULT_KILLS"])
    drawn = random.Random(f"{orders['seed']} {ctx.job.id} {ctx.attempt}").random()
    if drawn < chance and not Path(orders["peace"]).exists():
        note_death(Path(orders["notes"]), "mid_effect")
        os.kill(os.getpid(), signal.SIGKILL)
    leave(ctx, "end")
    return ctx.attempt


@job(max_retries=0, priority=1)
def leave_transaction_open(how: str) -> None:
    """Break the rules: end inside an atomic block, or with autocommit off."""
    if how == "atomic block":
        transaction.atomic().__enter__()
    else:
        transaction.set_autocommit(False)
    Group.objects.create(name="of the broken job")


@job(max_retries=0)
def create_group(name: str) -> None:
    Group.objects.create(name=name)


@job
def read_clock() -> list[float]:
    """Return what the clocks of this process show, as seconds since 1970."""
    return [time.time(), datetime.now(UTC).timestamp(), timezone.now().timestamp()]


_KEPT: list[bytes] = []


@job
def leak(ctx: JobContext, mebibytes: int) -> int:
    """Hold so much memory for ever, and return the process's id."""
    _KEPT.append(b"x" * mebibytes * 1024 * 1024)
    return os.getpid()


def _wait_for(path: Path) -> None:
    wait_for(path.exists, f"{path} appears", deadline_seconds=LONGEST_WAIT_SECONDS)


# Modules that a test wants a worker process to have imported, such as one that it will change.
for _name in filter(None, os.environ.get("FAULT_IMPORTS", "").split(",")):
    importlib.import_module(_name)


firing_deaths.arm()
