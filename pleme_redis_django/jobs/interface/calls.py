"""Calls: tell one worker process to look at its rows now."""

from __future__ import annotations

from typing import Protocol


class WorkerCalls(Protocol):
    """Where a worker process is called. A call says only *that* something is asked; the rows say what.

    Losing one costs time: without a call, rows are looked at every ``lease_sweep_seconds``, and less often where looks
    are slow.
    """

    def wait_for_call(self, worker_id: str, timeout_seconds: float) -> bool:
        """Wait until the worker is called; return whether it was. Raises when Redis is away."""
        ...
