"""BurstProgress: a progress bar on the terminal, from what the worker processes report."""

from __future__ import annotations

import json
import sys
import time
from typing import TextIO

from pleme_redis_django.durations import counted
from pleme_redis_django.management.progress_bar import progress_bar


class BurstProgress:
    """Adds up reports; draws only on a terminal, and prints one line at the end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._ended: dict[str, int] = {}
        self._total = 0
        self._started_at: float | None = None
        self._rest: dict[str, bytes] = {}

    def note(self, worker_id: str, data: bytes) -> None:
        """Take what a worker process wrote."""
        *lines, self._rest[worker_id] = (self._rest.get(worker_id, b"") + data).split(b"\n")
        for line in lines:
            report = json.loads(line)
            self._ended[worker_id] = report["ended"]
            # Each process counts what is ready when it starts; the first of them counts it all.
            self._total = max(self._total, report.get("total", 0))
        if self._started_at is None and self._ended:
            self._started_at = time.monotonic()
        self._draw()

    def finish(self) -> None:
        """Say how many jobs have ended, and how fast."""
        done = sum(self._ended.values())
        now = time.monotonic()
        seconds = now - (self._started_at or now)
        rate = f", {done / seconds:,.0f}/s" if seconds > 0.05 and done else ""
        end = "\r\033[K" if self._stream.isatty() else ""
        self._stream.write(f"{end}{counted(done, 'job')} ended in {seconds:,.1f} s{rate}\n")
        self._stream.flush()

    def _draw(self) -> None:
        if not self._stream.isatty():
            return
        done = sum(self._ended.values())
        self._stream.write(progress_bar(done, self._total))
        self._stream.flush()
