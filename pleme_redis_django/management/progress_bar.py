"""The progress bar of a command, for a terminal."""

from __future__ import annotations

BAR_WIDTH = 32


def progress_bar(done: int, total: int) -> str:
    """Return a line that takes the place of the last one, such as ``[####....] 500/1,000 jobs``."""
    total = max(total, done)
    filled = BAR_WIDTH * done // total if total else 0
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    return f"\r[{bar}] {done:,}/{total:,} jobs\033[K"
