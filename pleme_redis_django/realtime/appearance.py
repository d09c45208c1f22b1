"""Appearance: how a connection is shown to others."""

from __future__ import annotations

from typing import Any

IDLE_SECONDS = 1.0


class Appearance:
    """What a connection says about itself in each room, and whether it is idle."""

    __slots__ = ("idle_set_at", "is_idle", "metadata", "wants_idle")

    def __init__(self) -> None:
        self.metadata: dict[str, dict[str, Any]] = {}
        """Room -> what the connection says about itself there."""
        self.is_idle = self.wants_idle = False
        """Whether it is shown as idle, and whether it said that it is."""
        self.idle_set_at = float("-inf")

    @property
    def is_outdated(self) -> bool:
        """Whether it is shown differently from what it said last."""
        return self.wants_idle is not self.is_idle

    def begin_settling(self, now: float) -> bool:
        """Return whether to show now what was said last: at most once a second, because every room is told."""
        if not self.is_outdated or now - self.idle_set_at < IDLE_SECONDS:
            return False
        self.idle_set_at = now
        return True

    def say(self, room: str, metadata: dict[str, Any] | None) -> None:
        """Note what the connection says about itself in a room; None: nothing any more."""
        if metadata is None:
            self.metadata.pop(room, None)
        else:
            self.metadata[room] = metadata
