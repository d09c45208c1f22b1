"""Heartbeat: proves that this process lives, and knows when it may no longer believe so itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pleme_redis_django.jobs.engine_thread import EngineThread, OnBroken, tell_nobody
from pleme_redis_django.jobs.events import EventSink, LeaseLost
from pleme_redis_django.jobs.holdings import Holdings
from pleme_redis_django.jobs.identity import WorkerIdentity, WorkerRegistry, WorkerStanding
from pleme_redis_django.jobs.patience import LONGEST_WAIT_SECONDS, Patience
from pleme_redis_django.jobs.worker_pool_config import WorkerPoolConfig

Clock = Callable[[], float]

# A beat that comes later than this after the one before tells of trouble with the database or the network.
GAP_BEATS = 2
# A beat that failed is repeated within this part of the interval, however long the trouble lasts: once it is
# over, the lease is renewed before others take the silence for a death.
REPEAT_BEATS = 0.5


def lease_clock() -> float:
    """Return seconds that also pass while the machine is suspended, where the system has such a clock."""
    # time.monotonic() stands still then, and a process that wakes up would believe in its lease.
    boottime: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class Heartbeat:
    """The thread that renews the lease; ``is_current`` gates every claim and every start."""

    def __init__(
        self,
        registry: WorkerRegistry,
        identity: WorkerIdentity,
        holdings: Holdings,
        config: WorkerPoolConfig,
        sink: EventSink,
        *,
        on_drain: Callable[[], None] = lambda: None,
        on_new_id: Callable[[str], None] = lambda worker_id: None,
        on_broken: OnBroken = tell_nobody,
        clock: Clock = lease_clock,
    ) -> None:
        self._registry = registry
        self._identity = identity
        self._holdings = holdings
        self._sink = sink
        self._interval_seconds = config.heartbeat_seconds
        self._lease_seconds = config.lease_seconds
        self._on_drain = on_drain
        self._on_new_id = on_new_id
        self._is_draining = False
        self._drain_recorded = False
        self._clock = clock
        self._renewed_at = float("-inf")
        self._unbroken_since = float("-inf")
        self._in_good_order = True
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._patience = Patience(
            "heartbeat",
            sink,
            self._stopping,
            longest_wait_seconds=min(LONGEST_WAIT_SECONDS, config.heartbeat_seconds * REPEAT_BEATS),
        )
        self._thread = EngineThread(self._run, "pleme-heartbeat", on_broken)

    def start(self) -> None:
        """Start the thread, which registers the process first; until then no lease is current."""
        self._thread.start()

    def stop(self, timeout_seconds: float, *, in_good_order: bool = True) -> None:
        """Stop beating, and record the end in good order unless the lease shall run out instead."""
        self._in_good_order = in_good_order
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_seconds)

    def beat_soon(self) -> None:
        """Beat without waiting for the interval, to learn what was asked of the process; from any thread."""
        self._wake.set()

    def note_draining(self) -> None:
        """Record soon that this process drains, so that nobody blames its jobs for its end; from any thread."""
        self._is_draining = True
        self._wake.set()

    def is_current(self) -> bool:
        """Whether nobody can have declared this process dead."""
        return self._clock() - self._renewed_at < self._lease_seconds

    def is_unbroken(self) -> bool:
        """Whether no beat of the last lease was late: only then may this process sweep.

        After a database outage every process looks silent. Whoever swept at once would take the
        jobs of all live ones; one lease later the live ones have beaten again. Nor does an outage touch all
        alike: one process is cut off at once and is back soon, another one waits for an answer all the while.
        """
        now = self._clock()
        if now - self._renewed_at > GAP_BEATS * self._interval_seconds:
            return False
        return self.is_current() and now - self._unbroken_since >= self._lease_seconds

    def _run(self) -> None:
        registered = False
        while not self._stopping.is_set():
            try:
                if registered:
                    self.beat()
                else:
                    self.register()
                    registered = True
                self._record_draining()
            except Exception as error:
                self._patience.wait_after(error)
                continue
            self._patience.succeeded()
            self._wake.wait(self._interval_seconds)
            self._wake.clear()
        self._leave(registered)

    def register(self) -> None:
        """Record the process; from then on the lease is current."""
        sent_at = self._clock()
        self._registry.register(self._identity.describe())
        self._renewed_at = self._unbroken_since = sent_at

    def beat(self) -> None:
        """Renew the lease, or register anew when the process was declared dead."""
        sent_at = self._clock()
        standing = self._registry.heartbeat(
            self._identity.worker_id, len(self._holdings), self._holdings.count_async()
        )
        if standing is WorkerStanding.DEAD:
            old = self._identity.worker_id
            new = self._identity.renew()
            self._on_new_id(new)
            self._drain_recorded = False
            self._sink.emit(LeaseLost(old, new))
            self.register()
            return
        if sent_at - self._renewed_at > GAP_BEATS * self._interval_seconds:
            self._unbroken_since = sent_at
        self._renewed_at = sent_at
        if standing is WorkerStanding.DRAINING:
            self._on_drain()

    def _record_draining(self) -> None:
        if self._is_draining and not self._drain_recorded:
            self._registry.note_draining(self._identity.worker_id)
            self._drain_recorded = True

    def _leave(self, registered: bool) -> None:
        if registered and self._in_good_order and not len(self._holdings):
            try:
                self._registry.deregister(self._identity.worker_id)
            except Exception as error:
                self._patience.report(error)
