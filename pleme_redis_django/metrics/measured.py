"""MeasuredAt: when the figures were measured, and whether they are still current."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

# However often it is measured, figures of the last minute are not stale.
STALE_AFTER = timedelta(seconds=60)
# A measurement comes a little later than it is due.
OVERDUE_AFTER = timedelta(seconds=10)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredAt:
    """The time of the newest measurement and the time at which it is read, both by the database's clock."""

    now: datetime
    at: datetime | None
    """None: nothing has been measured yet."""
    next_at: datetime | None = None
    """When the next one is due: a large backlog is counted less often."""

    @property
    def age_seconds(self) -> float:
        """How old the figures are."""
        return 0.0 if self.at is None else max((self.now - self.at).total_seconds(), 0.0)

    @property
    def is_stale(self) -> bool:
        """Whether they are so old that no process seems to measure any more."""
        if self.at is None:
            return False
        interval = timedelta() if self.next_at is None else self.next_at - self.at
        return self.now - self.at > max(STALE_AFTER, 2 * interval)

    @property
    def is_overdue(self) -> bool:
        """Whether newer figures should be there by now."""
        due = self.at if self.next_at is None else self.next_at
        return due is not None and self.now - due > OVERDUE_AFTER
