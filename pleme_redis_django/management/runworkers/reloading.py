"""Which of the project's files changed since the last look, by Django's own list of modules."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from django.utils.autoreload import StatReloader

LOOK_EVERY_SECONDS = 1.0


def file_watcher() -> Callable[[], str | None]:
    """Return a function that names a file that changed, at most once for each change."""
    reloader = StatReloader()
    seen: dict[Path, float] = dict(reloader.snapshot_files())
    next_look = time.monotonic() + LOOK_EVERY_SECONDS

    def changed_file() -> str | None:
        nonlocal next_look
        if time.monotonic() < next_look:
            return None
        next_look = time.monotonic() + LOOK_EVERY_SECONDS
        now = dict(reloader.snapshot_files())
        changed = [path for path, modified in now.items() if seen.get(path, modified) != modified]
        seen.update(now)
        return str(changed[0]) if changed else None

    return changed_file
