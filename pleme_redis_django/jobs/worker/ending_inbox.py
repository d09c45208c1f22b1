"""EndingInbox: where threads that run jobs leave endings, and the finisher fetches them in bulk."""

from __future__ import annotations

import threading

from pleme_redis_django.jobs.worker.ending_batches import MAX_ENDINGS
from pleme_redis_django.jobs.worker.holdings import Entry

# One round trip for many endings is what lets a pool end thousands of jobs a second; the delay is
# what one lonely ending waits for company.
COMPANY_SECONDS = 0.005


class EndingInbox:
    """Endings that are not written yet: those that nobody has fetched, and those that the finisher has in hand."""

    def __init__(self) -> None:
        self.in_hand: list[Entry] = []
        """What was fetched and is not written; for the finisher."""
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._some = threading.Event()
        self._many = threading.Event()

    def add(self, entry: Entry) -> None:
        """Leave an ending; from any thread."""
        with self._lock:
            self._entries.append(entry)
            count = len(self._entries)
        if count == 1:
            self._some.set()
        elif count == MAX_ENDINGS:
            self._many.set()

    def wait(self, seconds: float) -> bool:
        """Wait for an ending, and then a moment for others to join it; return whether there is any."""
        if not self._some.wait(seconds):
            return False
        self._many.wait(COMPANY_SECONDS)
        return True

    def interrupt(self) -> None:
        """Let a wait end at once; from any thread."""
        self._some.set()
        self._many.set()

    def take(self) -> None:
        """Take everything in hand."""
        with self._lock:
            self.in_hand, self._entries = self._entries, []
            self._some.clear()
            self._many.clear()

    def put_back(self) -> None:
        """Keep for later what is in hand, before what came since."""
        with self._lock:
            self._entries, self.in_hand = self.in_hand + self._entries, []

    def __len__(self) -> int:
        return len(self.in_hand) + len(self._entries)
