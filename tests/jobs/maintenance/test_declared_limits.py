"""Declared limits: every process looks after them, and whoever may claim what goes on is woken."""

from __future__ import annotations

from collections.abc import Sequence

from pleme_redis_django.jobs.maintenance.declared_limits import declared_limits_duty, look_after_limits
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import MemoryHints


class WhereALimitHasEnded(MemoryJobStore):
    keeps_limits = True
    queues: Sequence[str] = ("mail", "mail")

    @property
    def supports_limits(self) -> bool:
        return self.keeps_limits

    def look_after_limits(self) -> Sequence[str]:
        return self.queues


def test_who_goes_on_is_told() -> None:
    store, agenda = WhereALimitHasEnded(), Agenda(60)
    assert look_after_limits(store, MemoryHints(), ReleasedJobs(agenda)) == 2
    assert agenda.has_unseen_hint()


def test_nobody_is_woken_while_no_limit_ends() -> None:
    store, agenda = WhereALimitHasEnded(), Agenda(60)
    store.queues = ()
    assert look_after_limits(store, MemoryHints(), ReleasedJobs(agenda)) == 0
    assert not agenda.has_unseen_hint()


def test_every_process_does_it_where_the_store_keeps_limits() -> None:
    store = WhereALimitHasEnded()
    duty = declared_limits_duty(store, MemoryHints(), ReleasedJobs(Agenda(60)))
    assert (duty.role, duty.every_seconds, duty.condition()) == (None, 30.0, True)
    store.keeps_limits = False
    assert not duty.condition()
