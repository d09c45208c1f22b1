"""ReleasedJobs: whoever may claim a job that was made ready here is told."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from pleme_redis_django.jobs.interface.hints import NoHints
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs


class Hints(NoHints):
    """Takes note of the queues whose workers are woken."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def wake_queues(self, queue_names: Collection[str]) -> None:
        self.woken += queue_names


@pytest.mark.parametrize(
    ("serves", "woken"),
    [
        ({}, []),
        ({"queue_names": ("email",)}, ["print", "sms"]),
        ({"queue_names": ("email",), "product": "ours"}, ["email", "print", "sms"]),
    ],
    ids=["every queue", "one queue", "one product"],
)
def test_a_worker_of_each_queue_that_is_not_served_here_is_woken(serves: Any, woken: list[str]) -> None:
    hints, agenda = Hints(), Agenda(60)
    told = ReleasedJobs(agenda, hints, **serves)
    told.tell([])
    assert not agenda.has_unseen_hint()
    told.tell(["sms", "email", "print", "sms"])
    assert hints.woken == woken and agenda.has_unseen_hint()


def test_without_hints_this_process_looks() -> None:
    agenda = Agenda(60)
    ReleasedJobs(agenda, queue_names=("email",)).tell(["sms"])
    assert agenda.has_unseen_hint()
