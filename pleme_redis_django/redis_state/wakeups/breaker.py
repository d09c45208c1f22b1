"""HintBreaker: after a failed push, hints are not tried for a while, and one warning says so."""

from __future__ import annotations

import logging
import threading
import time

logger = logging.getLogger(__name__)

# A black-holed Redis costs each push its timeout (250 ms): at most one push in so many seconds pays.
PAUSE_SECONDS = 5.0


class HintBreaker:
    """Whether pushing is worth a try, shared by every JobQueue of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._warned = False

    def allows(self) -> bool:
        """Whether the pause after the last failure is over."""
        return time.monotonic() >= self._closed_until

    def failed(self, error: Exception) -> None:
        """Pause, and warn when this is the first failure since the last success."""
        with self._lock:
            self._closed_until = time.monotonic() + PAUSE_SECONDS
            warned, self._warned = self._warned, True
        if not warned:
            logger.warning(
                "Redis did not take a wake-up hint (%s). Jobs are stored and will start when a worker scans the "
                "database, within its poll_timeout. Hints are tried again every %.0f s.",
                type(error).__name__,
                PAUSE_SECONDS,
            )

    def succeeded(self) -> None:
        """Note that Redis answers."""
        if self._warned:
            self._warned = False
            logger.info("Redis takes wake-up hints again.")

    def reset(self) -> None:
        """Forget every failure."""
        self._closed_until, self._warned = 0.0, False


hint_breaker = HintBreaker()
"""The breaker of this process."""
