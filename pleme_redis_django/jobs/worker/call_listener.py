"""CallListener: the thread that waits for calls of its own process."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pleme_redis_django.jobs.interface.calls import WorkerCalls
from pleme_redis_django.jobs.interface.workers import WorkerIdentity
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.engine_thread import EngineThread

CALL_TIMEOUT_SECONDS = 30.0
PAUSE_AFTER_FAILURE_SECONDS = 5.0


class CallListener:
    """The thread that waits for calls of its own process, also while that is full."""

    def __init__(
        self,
        calls: WorkerCalls,
        identity: WorkerIdentity,
        agenda: Agenda,
        *,
        on_call: Callable[[], None],
    ) -> None:
        self._calls = calls
        self._identity = identity
        self._on_call = on_call
        self._stopping = threading.Event()
        self._thread = EngineThread(self._run, "calls", agenda)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread without waiting for it: a blocked pop must not delay a shutdown."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                called = self._calls.wait_for_call(self._identity.worker_id, CALL_TIMEOUT_SECONDS)
            except Exception:
                # The thread that waits for hints says that Redis is away.
                self._stopping.wait(PAUSE_AFTER_FAILURE_SECONDS)
                continue
            if called and not self._stopping.is_set():
                self._on_call()
