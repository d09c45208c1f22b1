"""What the terminal shows while the workers work: a block that is redrawn, or a line now and then."""

from __future__ import annotations

import time
from typing import TextIO

from example_project.demo.report import MODELS, in_words, title
from example_project.shop.jobs import import_catalog
from example_project.shop.models import CatalogItem, Order, Thumbnail
from example_project.shop.status import jobs_by_status
from pleme_redis_django import Job, JobStatus
from pleme_redis_django.models import WorkerProcess

BAR_WIDTH = 30
PLAIN_LINE_SECONDS = 5.0
UP_AND_CLEAR = "\x1b[{lines}A\x1b[J"


class LiveView:
    """Draws the state of the shop; on a terminal in place, elsewhere as a line every five seconds."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._in_place = out.isatty()
        self._drawn_lines = 0
        self._last_plain = float("-inf")

    def draw(self) -> None:
        """Show the state as it is now."""
        if self._in_place:
            lines = state_lines()
            erase = UP_AND_CLEAR.format(lines=self._drawn_lines) if self._drawn_lines else ""
            self._write(erase + "".join(f"{line}\n" for line in lines))
            self._drawn_lines = len(lines)
        elif time.monotonic() - self._last_plain >= PLAIN_LINE_SECONDS:
            self._last_plain = time.monotonic()
            self._write("          " + "; ".join(_job_counts()) + "\n")

    def leave(self) -> None:
        """Keep what was drawn last; the next drawing starts below."""
        self._drawn_lines = 0

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def state_lines() -> list[str]:
    """Return the shop's state as lines of text."""
    workers = WorkerProcess.objects.filter(died_at=None).count()
    made = [
        f"{CatalogItem.objects.count():,} items",
        f"{Order.objects.count():,} orders",
        f"{Thumbnail.objects.count():,} thumbnails",
    ]
    return [
        "",
        *_job_counts(),
        f"{'shop':12} {', '.join(made)}",
        f"{'workers':12} {workers} registered",
        *_import_bar(),
    ]


def _job_counts() -> list[str]:
    return [f"{title(model):12} {in_words(jobs_by_status(model._default_manager.all()))}" for model in MODELS]


def _import_bar() -> list[str]:
    running = Job.objects.filter(job_type=import_catalog.name, status=JobStatus.RUNNING).first()
    if running is None or not running.progress:
        return []
    done, total = running.progress["done"], running.progress["total"]
    filled = round(BAR_WIDTH * done / total)
    return [f"{'import':12} [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {done:,} of {total:,}"]
