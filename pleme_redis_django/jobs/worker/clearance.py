"""Clearance: whether this process may claim and start jobs at this moment."""

from __future__ import annotations

from pleme_redis_django.jobs.interface.workers import WorkerIdentity
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.holdings import HeldJob
from pleme_redis_django.jobs.worker.lease import EndlessLease, Lease


class Clearance:
    """Given while the lease is current, until it is withdrawn for good or somebody asks the process to end."""

    def __init__(self, lease: Lease | EndlessLease, identity: WorkerIdentity, agenda: Agenda) -> None:
        self._lease = lease
        self._identity = identity
        self._agenda = agenda
        self._is_withdrawn = False

    def withdraw(self) -> None:
        """Let nothing be claimed or started any more; from any thread."""
        self._is_withdrawn = True

    def is_given(self) -> bool:
        """Whether jobs may be claimed."""
        return not self._agenda.leaving.requested.is_set() and self._lets_pass()

    def _lets_pass(self) -> bool:
        return not self._is_withdrawn and self._lease.is_current()

    def may_start(self, held: HeldJob) -> bool:
        """Whether a job may start: not when its claim is of an id that was declared dead since then."""
        leaving = self._agenda.leaving
        if leaving.requested.is_set() and not leaving.lets_waiting_run:
            return False
        return self._lets_pass() and held.claim.worker_id == self._identity.worker_id
