"""Tells the terminal what the demo does, and how long each step took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Steps:
    """Prints one line a step."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    @contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """Time the block, then print its title and the remarks that it added to the list."""
        started = time.monotonic()
        remarks: list[str] = []
        yield remarks
        self.say(f"{time.monotonic() - started:6.1f} s  {' '.join([title, *remarks])}")

    def say(self, line: str = "") -> None:
        self._out.write(f"{line}\n")
        self._out.flush()
