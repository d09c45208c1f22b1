"""TokenBucket: how many jobs a rate lets start now, and when the next; by the generic cell rate algorithm (GCRA).

All that is kept of a bucket is when every token will be back, were none taken (ITU-T I.371, "virtual scheduling").
The statements of the PostgreSQL store say the same as this.
"""

from __future__ import annotations

import dataclasses
import math

# A job that was let through has taken its token by then, or does not come at all for now: it may have been
# cancelled, or its queue be paused.
LET_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TokenBucket:
    """The tokens of one rate at one moment."""

    every_seconds: float | None
    """How long it takes until another token is back; None: none ever is, a pause."""
    burst: int
    """How many there are when all are back."""
    used: float
    """How many are not back, the next one in part."""

    @property
    def free(self) -> int:
        """How many may be taken now."""
        return 0 if self.every_seconds is None else max(math.floor(self.burst - self.used), 0)

    @property
    def full_again_seconds(self) -> float:
        """How long until all are back."""
        return 0.0 if self.every_seconds is None else self.used * self.every_seconds

    def without(self, tokens: int) -> TokenBucket:
        """Return the bucket after so many were taken."""
        return dataclasses.replace(self, used=self.used + tokens)

    def seconds_until(self, tokens: int) -> float | None:
        """Return how long it takes until so many may be taken at once; None: it never is, in a pause."""
        if self.every_seconds is None:
            return None
        return max((self.used + tokens - self.burst) * self.every_seconds, 0.0)


def bucket_at(
    *, rate: int, per_seconds: float, burst: int, full_again_in: float, spacing_seconds: float | None = None
) -> TokenBucket:
    """Return the bucket of a rate that is full again in so many seconds.

    ``spacing_seconds``: with which spacing that was reckoned, when the rate was another one then.
    """
    every = per_seconds / rate if rate else None
    spacing = spacing_seconds or every
    return TokenBucket(
        every_seconds=every, burst=burst, used=max(full_again_in, 0.0) / spacing if spacing else 0.0
    )
