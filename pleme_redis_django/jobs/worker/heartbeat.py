"""Heartbeat: shows that this process is alive; its lease says until when the process may assume so itself."""

from __future__ import annotations

from pleme_redis_django.jobs.interface.events import EventSink, LeaseLost
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.interface.workers import WorkerIdentity, WorkerRegistry, WorkerStanding
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage
from pleme_redis_django.jobs.worker.holdings import Holdings
from pleme_redis_django.jobs.worker.lease import Clock, EndlessLease, Lease, lease_clock
from pleme_redis_django.jobs.worker.store_outage import LONGEST_WAIT_SECONDS
from pleme_redis_django.jobs.worker.turning_thread import TurningThread

# A beat that failed is repeated within this part of the interval, however long the trouble lasts: once it is
# over, the lease is renewed before others take the silence for a death.
REPEAT_BEATS = 0.5


class Heartbeat:
    """The thread that renews the lease, which gates every claim and every start."""

    def __init__(
        self,
        registry: WorkerRegistry,
        identity: WorkerIdentity,
        holdings: Holdings,
        config: WorkerPoolConfig,
        sink: EventSink,
        agenda: Agenda,
        page: ExecutingPage,
        *,
        clock: Clock = lease_clock,
    ) -> None:
        self._registry = registry
        self._identity = identity
        self._holdings = holdings
        self._sink = sink
        self._agenda = agenda
        self._page = page
        self._registered = False
        self._drain_reason: str | None = None
        self._drain_recorded_for: str | None = None
        self._in_good_order = True
        self.lease = Lease(config.lease_seconds, config.heartbeat_seconds, clock)
        self.thread = TurningThread(
            "heartbeat",
            self._turn,
            sink,
            agenda,
            operation="heartbeat",
            at_end=self._leave,
            longest_wait_seconds=min(LONGEST_WAIT_SECONDS, config.heartbeat_seconds * REPEAT_BEATS),
        )

    def start(self) -> None:
        """Start the thread, which registers the process first; until then no lease is current."""
        self.thread.start()

    def stop(self, timeout_seconds: float, *, in_good_order: bool = True) -> None:
        """Stop beating, and record an orderly end, unless the lease is to run out instead."""
        self._in_good_order = in_good_order
        self.thread.stop(timeout_seconds)

    def beat_soon(self) -> None:
        """Beat without waiting for the interval, to learn what was asked of the process; from any thread."""
        self.thread.wake()

    def note_draining(self, reason: str = "") -> None:
        """Record soon that this process drains, and why, so that nobody blames its jobs for its end; from any
        thread."""
        self._drain_reason = reason
        self.thread.wake()

    def register(self) -> None:
        """Record the process; from then on the lease is current."""
        sent_at = self.lease.now()
        self._registry.register(self._identity.describe())
        self.lease.begin(sent_at)
        self._registered = True

    def beat(self) -> None:
        """Renew the lease, or register anew when the process was declared dead."""
        sent_at = self.lease.now()
        standing = self._registry.heartbeat(
            self._identity.worker_id, len(self._holdings), self._holdings.count_async()
        )
        if standing is WorkerStanding.DEAD:
            old = self._identity.worker_id
            new = self._identity.renew()
            self._page.note_worker(new)
            self._sink.emit(LeaseLost(old, new))
            self.register()
            return
        self.lease.renew(sent_at)
        if standing is WorkerStanding.DRAINING:
            self._agenda.leaving.drain()

    def _turn(self) -> float:
        if self._registered:
            self.beat()
        else:
            self.register()
        self._record_draining()
        self.thread.outage.succeeded()
        return self.lease.beat_seconds

    def _record_draining(self) -> None:
        worker_id = self._identity.worker_id
        if self._drain_reason is not None and self._drain_recorded_for != worker_id:
            self._registry.note_draining(worker_id, self._drain_reason)
            self._drain_recorded_for = worker_id

    def _leave(self) -> None:
        if self._registered and self._in_good_order and not len(self._holdings):
            try:
                self._registry.deregister(self._identity.worker_id)
            except Exception as error:
                self.thread.outage.report(error)


class NoHeartbeat:
    """The heartbeat of a process that nobody watches."""

    def __init__(self) -> None:
        self.lease = EndlessLease()

    def start(self) -> None:
        """Do nothing."""

    def stop(self, timeout_seconds: float, *, in_good_order: bool = True) -> None:
        """Do nothing."""

    def beat_soon(self) -> None:
        """Do nothing."""

    def note_draining(self, reason: str = "") -> None:
        """Do nothing."""
