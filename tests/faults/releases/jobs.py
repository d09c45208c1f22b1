"""A job whose limit the release "before" declares, as FAULT_RELEASE says, and the one after it does not."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from pleme_redis_django import JobContext, Limit, job
from pleme_redis_django.jobs.maintenance import declared_limits
from pleme_redis_django.orm_store.flow import known_limits
from tests.faults.effects import leave
from tests.waiting import wait_for

KEY = "removed"
LONGEST_WAIT_SECONDS = 120.0

if "FAULT_RELEASE" in os.environ:
    declared_limits.LIMITS_LOOKED_AFTER_SECONDS = 0.1
    known_limits.SEEN_TO = timedelta(seconds=0.05)
    known_limits.ABANDONED_AFTER = timedelta(seconds=4)


@job(limits=Limit(1, key=KEY) if os.environ.get("FAULT_RELEASE") == "before" else None)
def hold(ctx: JobContext, path: str) -> None:
    """Leave an effect at the start, and one at the end once ``path`` exists."""
    leave(ctx, "begin")
    wait_for(Path(path).exists, f"{path} appears", deadline_seconds=LONGEST_WAIT_SECONDS)
    leave(ctx, "end")
