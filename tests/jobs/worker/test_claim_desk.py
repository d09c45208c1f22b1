"""ClaimDesk: what a worker asks its store for, and what it holds from then on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pleme_redis_django.jobs.interface.events import JobsClaimed
from pleme_redis_django.jobs.interface.store import JobSelection
from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.claim_desk import ClaimDesk
from pleme_redis_django.jobs.worker.holdings import Holdings
from pleme_redis_django.testing import MemoryJob, MemoryJobStore
from tests.jobs.recording import WORKER, RecordingSink

OWN = JobSelection(queue_names=("email",), product="acme", job_types=frozenset({"test"}))
MINE = {"queue_name": "email", "product": "acme"}


class NotingStore(MemoryJobStore):
    """Remembers what it was asked for; what it passes over, and its answers, are the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[JobSelection] = []
        self.again_in: float | None = None
        self.held: Any = None

    def claim_jobs(self, worker_id: str, limit: int, selection: JobSelection) -> Sequence[MemoryJob]:
        self.asked.append(selection)
        return super().claim_jobs(worker_id, limit, selection)

    def look_again_in(self, selection: JobSelection) -> float | None:
        return self.again_in

    def held_back(self) -> Any:
        return self.held


class Counter:
    def __init__(self) -> None:
        self.store = NotingStore()
        self.holdings = Holdings()
        self.sink = RecordingSink()
        self.agenda = Agenda(3_000)
        self.desk = ClaimDesk(
            self.store,
            OWN,
            WorkerIdentity(WorkerDescription(worker_id=WORKER)),
            self.holdings,
            self.sink,
            self.agenda,
            on_progress=lambda context: None,
        )


@pytest.fixture
def counter() -> Counter:
    return Counter()


def test_what_is_claimed_is_held_and_told(counter: Counter) -> None:
    ids = [counter.store.add(**MINE).id for _ in range(3)]
    counter.store.add(queue_name="other", product="acme")
    held = counter.desk.claim(2, by_scan=True)
    assert [one.job.id for one in held] == ids[:2]
    assert len(counter.holdings) == 2 and not counter.desk.holds_nothing()
    assert counter.sink.events == [JobsClaimed(WORKER, 2, True)]
    assert counter.desk.claim(5) and counter.desk.claimed == 3


def test_an_empty_claim_is_not_told(counter: Counter) -> None:
    assert counter.desk.claim(5) == []
    assert counter.sink.events == [] and counter.desk.holds_nothing()


def test_it_asks_in_its_own_selection_narrowed_for_a_lane_or_for_suspects(counter: Counter) -> None:
    counter.desk.claim(1)
    counter.desk.claim(1, job_types=frozenset({"a"}))
    counter.desk.claim(1, suspects=True)
    plain, of_lane, of_suspects = counter.store.asked
    assert plain == OWN
    assert of_lane == JobSelection(queue_names=("email",), product="acme", job_types=frozenset({"a"}))
    assert of_suspects == JobSelection(
        queue_names=("email",), product="acme", job_types=OWN.job_types, suspects=True
    )


def test_a_store_that_returns_no_claim_is_named(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotingStore, "claim_jobs", lambda *_arguments: [MemoryJob()])
    with pytest.raises(TypeError, match=r"NotingStore returned a claimed job whose \.claim is None"):
        counter.desk.claim(1)


def test_what_a_claim_passed_over_is_known(counter: Counter) -> None:
    counter.desk.claim(1)
    assert counter.desk.saw_all
    counter.store.again_in = 1.5
    counter.desk.look_ahead()
    assert not counter.desk.saw_all
    counter.store.again_in = None
    counter.desk.claim(1)
    assert counter.desk.saw_all


def test_what_the_store_holds_back_and_whether_that_changed(counter: Counter) -> None:
    assert counter.desk.holds_back() == (False, False)
    counter.store.held = ("email",)
    assert counter.desk.holds_back() == (True, True)
    assert counter.desk.holds_back() == (True, False)
    counter.store.held = ("images",)
    assert counter.desk.holds_back() == (True, True)
    counter.store.held = None
    assert counter.desk.holds_back() == (False, True)
