"""StopSignals: the signals that tell a supervisor to stop, counted, and how they wake its selector."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
from collections.abc import Iterator
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopSignals:
    """The first one asks for a drain, each later one for the end of the grace period."""

    def __init__(self) -> None:
        self._come = 0
        self._taken = 0

    def note(self) -> None:
        """Count one more."""
        self._come += 1

    def take(self) -> int:
        """Return how many have come since the last call."""
        new = self._come - self._taken
        self._taken += new
        return new

    @contextlib.contextmanager
    def listening(self, selector: selectors.BaseSelector) -> Iterator[int]:
        """Note signals, and wake the selector by the descriptor; a program that called gets its own back."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        wake_before = signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGCHLD]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored by nohup, which is to stay so
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        selector.register(wake_read, selectors.EVENT_READ, None)
        # Whoever executed this program may have held them back until somebody listens.
        mask_before = signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        try:
            yield wake_read
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wake_before)
            os.close(wake_read)
            os.close(wake_write)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self.note()
