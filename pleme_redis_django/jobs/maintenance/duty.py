"""Duty: a periodic task of every process, or of the one process that is elected for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What is done, and how often. A duty that fails stops no other, and is done again at its next time."""

    name: str
    run: Callable[[], object]
    every_seconds: float
    """Infinity: only when somebody asks for it."""
    role: str | None = None
    """The process that holds it does the duty for the whole cluster; None: every process does it."""
    condition: Callable[[], bool] = lambda: True
    """Asked first: whether this process may do it at all."""
