"""LogPage: what one look at the log of a head found. Pure."""

from __future__ import annotations

import dataclasses

from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position

REPAIR_LIMIT = 1000
"""The most messages that a gap is repaired with; a larger one is reported as a loss."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """What a log holds after a position, oldest first, and how that went."""

    top: Position
    """The newest message's position."""
    status: str
    """``complete``, ``limit`` (there are more), ``part`` (read on from ``reached``), ``trimmed`` (some are
    gone) or ``epoch`` (all are)."""
    messages: tuple[BusMessage, ...]
    reached: Position
    """The last message that was looked at; of the newest, the first one."""
    read_bytes: int = 0
    """How much of the log was looked at."""

    @property
    def recovered(self) -> bool:
        """Tell whether nothing is missing between the position and ``top``."""
        return self.status == "complete"
