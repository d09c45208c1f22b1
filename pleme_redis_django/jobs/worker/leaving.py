"""Leaving: whether a process is to end, and why; any thread may ask for it."""

from __future__ import annotations

import threading


class Leaving:
    """The end of one process, from the first request on."""

    def __init__(self) -> None:
        self.requested = threading.Event()
        """Set when this process is to claim no more and to end."""
        self.broken: list[tuple[str, BaseException]] = []
        """Threads that an error has ended, and which; the process then ends."""
        self.limit_reached = ""
        """Which limit of its pool this process has reached, in words; "": none."""
        self.recycle_reason = ""
        """Why this process is to end and another one to take its place; "": it is not."""
        self.lets_waiting_run = False
        """Whether what is claimed still starts while this process is to end, as long as it soon gets a slot."""

    def drain(self) -> None:
        """Somebody has asked this process to end, in its own time."""
        self.requested.set()

    def recycle(self, reason: str, *, lets_waiting_run: bool = False) -> None:
        """This process is to end once what runs has, and another one to take its place.

        ``lets_waiting_run``: and once what it has claimed and not started has run too, instead of giving it back.
        """
        if not self.requested.is_set():
            self.lets_waiting_run = lets_waiting_run
        elif not lets_waiting_run:
            self.lets_waiting_run = False
        self.recycle_reason = self.recycle_reason or reason
        self.requested.set()

    def thread_broken(self, name: str, error: BaseException) -> None:
        """An error has ended a thread of the engine, in that thread."""
        self.broken.append((name, error))
        self.requested.set()
