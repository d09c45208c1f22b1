"""The values of a schedule: its choices, and the ranges of its numbers. Pure."""

from __future__ import annotations

import enum

from pleme_redis_django.ranges import Whole

SCHEDULE_NAME_MAX_LENGTH = 200
INTERVALS = Whole(1, 366 * 86_400)
JITTERS = Whole(0, 86_400)
CATCH_UP_LIMITS = Whole(1, 10_000)
DEFAULT_CATCH_UP_LIMIT = 100


class CatchUp(enum.StrEnum):
    """What becomes of ticks that came while no worker process could fire them."""

    SKIP = "skip"
    """Nothing: the next one fires."""
    ONE = "one"
    """One job for all of them."""
    ALL = "all"
    """A job for each of them; if there are too many, for the last ones."""


class Overlap(enum.StrEnum):
    """What becomes of a tick whose schedule's previous job has not ended."""

    ALLOW = "allow"
    """It still makes a job."""
    SKIP = "skip"
    """It makes none."""
    REPLACE = "replace"
    """The previous job is cancelled."""
    QUEUE = "queue"
    """It waits for the end of the previous job; further ones make none."""
