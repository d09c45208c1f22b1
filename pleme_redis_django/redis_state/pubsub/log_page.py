"""LogPage: what one look at the log of a head found. Pure."""

from __future__ import annotations

import dataclasses

from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position

REPAIR_LIMIT = 1000
"""How many missing messages a repair may read; a larger gap is reported as a loss."""


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
    """The last message that was read; of the newest messages, the first one."""
    read_bytes: int = 0
    """How much of the log was read."""

    @property
    def recovered(self) -> bool:
        """Whether nothing is missing between the position and ``top``."""
        return self.status == "complete"
