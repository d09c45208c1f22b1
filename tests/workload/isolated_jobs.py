"""Isolated jobs: what happens in them happens in a process of their own."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

from django.db import transaction

from pleme_redis_django import Discard, JobContext, RetryAfter, Snooze, job
from pleme_redis_django.models import Job
from tests.hanging import sleep_for_an_hour
from tests.waiting import wait_for

LONGEST_WAIT_SECONDS = 120.0

kept: list[bytes] = []


@job(isolated=True)
def tell_process() -> dict[str, int]:
    """Return the process that runs it, and the one that has started that."""
    return {"pid": os.getpid(), "worker": os.getppid()}


@job(isolated=True, max_retries=0)
def die(how: str) -> None:
    """End the process, as a bug in a C library or a careless handler would."""
    sys.stdout.write("last words of the process\n")
    sys.stdout.flush()
    if how == "segfault":
        ctypes.string_at(0)
    elif how == "abort":
        os.abort()
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(7)
    else:
        os.closerange(3, 1024)
        time.sleep(LONGEST_WAIT_SECONDS)


@job(isolated=True, max_retries=1, base_retry_delay=0)
def die_at_first(ctx: JobContext) -> int:
    if ctx.attempt == 1:
        os._exit(7)
    return ctx.attempt


@job(isolated=True, timeout=0.5, kill_after=0.5, max_retries=0)
def hang_apart(how: str, cleaned: str) -> None:
    """Not come back for a very long time; leave ``cleaned`` behind where the handler's own code ends it."""
    try:
        if how == "spin":
            while True:
                pass
        elif how == "sleep":
            sleep_for_an_hour()
        elif how == "regex":
            re.match(r"(a|aa)+$", "a" * 60 + "b")
        else:  # C code that lets other threads run, and asks for no signals.
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
    finally:
        Path(cleaned).touch()


@job(isolated=True)
def wait_apart(ctx: JobContext, started: str, path: str) -> dict[str, Any]:
    """Write the process into ``started``, report progress, and run until ``path`` is there."""
    ctx.progress(1, 2, "waits")
    Path(f"{started}.part").write_text(str(os.getpid()))
    Path(f"{started}.part").rename(started)
    wait_for(Path(path).exists, f"{path} appears", deadline_seconds=LONGEST_WAIT_SECONDS)
    return {"remaining": ctx.remaining() is not None, "fence": ctx.fence(), "product": ctx.product}


@job(isolated=True, interrupt=False)
def wait_for_flags(ctx: JobContext) -> dict[str, bool]:
    """Run until both flags of the context are up."""
    wait_for(lambda: ctx.timed_out and ctx.cancel_requested, "flags", deadline_seconds=LONGEST_WAIT_SECONDS)
    return {"timed_out": ctx.timed_out, "cancel_requested": ctx.cancel_requested}


@job(isolated=True)
def leak(mb: int) -> int:
    kept.append(b"x" * (mb * 1024 * 1024))
    return os.getpid()


@job(isolated=True, max_retries=0)
def return_what(kind: str) -> Any:
    if kind == "huge":
        return 'é\n"' * 1_000_000
    return {"a": object()} if kind == "object" else {"text": 'é\n"\\' * 10_000}


@job(isolated=True, max_retries=3)
def raise_what(kind: str) -> None:
    if kind == "snooze":
        raise Snooze(3000)
    if kind == "discard":
        raise Discard("not wanted")
    if kind == "retry":
        raise RetryAfter(3000)
    if kind == "exit":
        sys.exit(3)
    raise LookupError(f"no {kind}")


@job(isolated=True, atomic=True, max_retries=0)
def write_atomically(ctx: JobContext, die: bool) -> str:
    """Enqueue a job in the transaction that ends this one."""
    assert transaction.get_connection().in_atomic_block
    tell_process.using(metadata={"of": str(ctx.job.id)}).enqueue()
    Job.objects.filter(id=ctx.job.id).update(metadata={"seen": True})
    if die:
        os._exit(7)
    return "written"
