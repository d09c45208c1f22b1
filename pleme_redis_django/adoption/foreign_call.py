"""ForeignCall: what a row of another queue asks for, whichever queue it is of; and why one cannot be moved."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pleme_redis_django.exceptions import PlemeError


class CannotMove(PlemeError):
    """A row stays where it is; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ForeignCall:
    """One call that waits."""

    key: Any
    """The primary key of the row in its table."""
    path: str
    """The path of the function: ``shop.tasks.send``."""
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    alias: str | None = None
    """The alias in TASKS; None: the row calls a function, which a ``@job`` of that name runs."""
    queue_name: str | None = None
    priority: int | None = None
    run_after: datetime | None = None
    max_retries: int | None = None
    """How often it may still be retried; None: as the task or the ``@job`` says."""
    timeout: float | None = None
