"""WorkerIdentity: the id under which a process claims, and what it tells of itself."""

from __future__ import annotations

import dataclasses
import enum
import os
import socket
import uuid
from collections.abc import Collection, Sequence
from typing import Protocol

from pleme_redis_django.jobs.interface.schedules import Declared

DEFAULT_LEASE_SECONDS = 25.0


def new_worker_id() -> str:
    """Return an id that no worker process has had."""
    return str(uuid.uuid4())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerDescription:
    """What the registry of worker processes stores of one; by default of this one."""

    worker_id: str = dataclasses.field(default_factory=new_worker_id)
    pool: str = "default"
    host: str = dataclasses.field(default_factory=socket.gethostname)
    pid: int = dataclasses.field(default_factory=os.getpid)
    queues: tuple[str, ...] = ()
    product: str | None = None
    slots: int = 0
    async_slots: int = 0
    """Those of the slots that take async jobs alone."""
    release: str = ""
    job_types: Collection[str] | None = None
    """The types that it knows; None: every type."""
    lease_seconds: float = DEFAULT_LEASE_SECONDS
    """How long the process may be silent before it is taken for dead."""
    declared_schedules: tuple[Declared, ...] = ()
    """What its code declares."""
    is_quarantine: bool = False
    """Whether it runs suspects and nothing else."""


class WorkerIdentity:
    """The id of this process among all workers. It is renewed when the process was taken for dead."""

    def __init__(self, description: WorkerDescription | None = None) -> None:
        self._description = description or WorkerDescription()
        self.worker_id = self._description.worker_id

    def renew(self) -> str:
        """Take a new id, so that nothing claimed under the old one can be written any more."""
        self.worker_id = new_worker_id()
        return self.worker_id

    def describe(self) -> WorkerDescription:
        """Return what others may know of this process."""
        return dataclasses.replace(self._description, worker_id=self.worker_id)


class WorkerStanding(enum.Enum):
    """What the registry has on a worker process."""

    ALIVE = "alive"
    DRAINING = "draining"
    """Alive, and asked to claim no more and to end when its running jobs have."""
    DEAD = "dead"
    """Declared dead: it has to register anew."""


class WorkerRegistry(Protocol):
    """Which worker processes live, by the store's clock. Methods may be called from any thread."""

    def register(self, worker: WorkerDescription) -> None:
        """Record a process that is about to claim."""
        ...

    def heartbeat(self, worker_id: str, running: int, async_running: int = 0) -> WorkerStanding:
        """Prove that the process lives, and say how many jobs it holds; return what was decided about it."""
        ...

    def deregister(self, worker_id: str) -> None:
        """Record that the process has ended in good order and holds nothing."""
        ...

    def note_draining(self, worker_id: str, reason: str = "") -> None:
        """Record that the process has begun to drain: its death says nothing of its jobs any more.

        ``reason``: why another one takes its place; "": none does.
        """
        ...

    def draining_among(self, worker_ids: Sequence[str]) -> frozenset[str]:
        """Return those of these processes, dead or alive, that have begun to drain."""
        ...

    def declare_dead(self, worker_ids: Sequence[str]) -> None:
        """Record that these processes have ended, known for certain; their roles are free at once."""
        ...

    def forget(self, worker_ids: Sequence[str]) -> None:
        """Delete those of these dead workers that died more than a day ago; their jobs are rescued."""
        ...

    def sweep(self) -> Sequence[str]:
        """Declare dead who was silent for its own lease; return every worker that died within a day.

        Workers that died earlier are named again, because a claim of theirs that was under way
        may have been committed after its jobs were rescued.
        """
        ...

    def elect(self, role: str, worker_id: str, term_seconds: float) -> bool:
        """Whether this worker holds ``role`` in the cluster, for a term that the call renews."""
        ...


class NoRegistry:
    """The registry of a process that nobody watches: it knows of no other one, and every role is its own."""

    def register(self, worker: WorkerDescription) -> None:
        """Do nothing."""

    def heartbeat(self, worker_id: str, running: int, async_running: int = 0) -> WorkerStanding:
        """Return that the process lives."""
        return WorkerStanding.ALIVE

    def deregister(self, worker_id: str) -> None:
        """Do nothing."""

    def note_draining(self, worker_id: str, reason: str = "") -> None:
        """Do nothing."""

    def draining_among(self, worker_ids: Sequence[str]) -> frozenset[str]:
        """Return none."""
        return frozenset()

    def declare_dead(self, worker_ids: Sequence[str]) -> None:
        """Do nothing."""

    def forget(self, worker_ids: Sequence[str]) -> None:
        """Do nothing."""

    def sweep(self) -> Sequence[str]:
        """Return none."""
        return ()

    def elect(self, role: str, worker_id: str, term_seconds: float) -> bool:
        """Return True."""
        return True
