"""Deaths of a process in the middle of firing: between a tick, its job, and the schedule's next tick."""

from __future__ import annotations

import itertools
import os
import random
import signal
from typing import Any

from pleme_redis_django.schedules import firing

POINTS_VARIABLE = "PLEME_FIRING_DEATHS"
"""Among the first so many points that a process comes to, it dies at one."""


def arm() -> None:
    """Have this process die at a point of its own, when the environment says among how many."""
    points = int(os.environ.get(POINTS_VARIABLE, "0"))
    if not points:
        return
    # Not by chance at each: a turn that has much to catch up on would never come to its end.
    passed, last = itertools.count(1), random.randint(1, points)
    turn: Any = firing._DueSchedule
    for name in ("_enqueue", "_recorded", "move_on"):
        setattr(turn, name, _deadly(getattr(turn, name), passed, last))


def _deadly(method: Any, passed: itertools.count[int], last: int) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        if next(passed) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call
