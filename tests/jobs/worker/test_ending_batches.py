"""Ending batches: how large a write is, and how an ending that cannot be written is parted from the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from pleme_redis_django.exceptions import BadEnding, DoubtfulEndings, LockedJobs
from pleme_redis_django.jobs.interface.endings import Completed, Ending, Failed
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.worker.ending_batches import (
    MAX_BYTES,
    MAX_ENDINGS,
    STRANGE_IN_A_ROW,
    Answer,
    batch_length,
    write_parted,
)
from tests.jobs.recording import claim_by


def ending(results_json: str = "null") -> Completed:
    return Completed(job_id=uuid4(), claim=claim_by(), results_json=results_json)


def failed(traceback: str) -> Failed:
    failure = engine_failure("test", "as the test asked", "test")
    long = type(failure)(
        message=failure.message,
        error_code=failure.error_code,
        exception_class=failure.exception_class,
        traceback=traceback,
        fingerprint=failure.fingerprint,
    )
    return Failed(job_id=uuid4(), claim=claim_by(), failure=long)


def test_a_batch_is_no_longer_than_its_limit() -> None:
    assert batch_length([]) == 0
    assert batch_length([ending()] * MAX_ENDINGS) == MAX_ENDINGS
    assert batch_length([ending()] * (MAX_ENDINGS + 1)) == MAX_ENDINGS


@pytest.mark.parametrize("make", [ending, failed])
def test_a_batch_holds_no_more_text_than_its_limit(make: Callable[[str], Ending]) -> None:
    third = "x" * (MAX_BYTES // 3 - 100)
    assert batch_length([make(third)] * 4) == 3
    assert batch_length([make("x" * (MAX_BYTES + 1)), make("")]) == 1, "or it would never be written"


class Store:
    """Refuses the parts in which an ending of these is."""

    def __init__(self, refused: dict[UUID, Exception]) -> None:
        self.refused = refused
        self.writes: list[int] = []

    def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]:
        self.writes.append(len(endings))
        for each in endings:
            if each.job_id in self.refused:
                raise self.refused[each.job_id]
        return [True] * len(endings)


def parted(store: Store, endings: Sequence[Ending], **options: bool) -> dict[UUID, Answer]:
    """Return what became of each ending."""
    answers: dict[UUID, Answer] = {}
    for part, answer in write_parted(cast(Any, store), endings, **options):
        assert not answers.keys() & {each.job_id for each in part}, "answered twice"
        answers |= {each.job_id: answer for each in part}
    return answers


def refused_ones(answers: dict[UUID, Answer]) -> set[UUID]:
    return {job_id for job_id, answer in answers.items() if isinstance(answer, Exception)}


@pytest.mark.parametrize("position", [0, 7, 99])
def test_a_bad_ending_is_found_in_few_writes_and_spoils_no_other(position: int) -> None:
    endings = [ending() for _ in range(100)]
    bad = endings[position].job_id
    store = Store({bad: BadEnding("no")})
    answers = parted(store, endings)
    assert (refused_ones(answers), len(answers)) == ({bad}, 100)
    assert len(store.writes) <= 15  # 1 + 2 * log2(100)


def test_locked_rows_are_parted_at_once() -> None:
    endings = [ending() for _ in range(100)]
    locked = {endings[3].job_id, endings[70].job_id}
    store = Store(dict.fromkeys(locked, LockedJobs(locked)))
    assert refused_ones(parted(store, endings)) == locked
    assert store.writes == [100, 98]


def test_rows_that_are_all_locked_leave_nothing_to_write() -> None:
    endings = [ending(), ending()]
    locked = {each.job_id for each in endings}
    store = Store(dict.fromkeys(locked, LockedJobs(locked)))
    assert refused_ones(parted(store, endings)) == locked
    assert store.writes == [2]


def test_a_lock_on_rows_of_others_is_the_stores_trouble() -> None:
    endings = [ending()]
    store = Store({endings[0].job_id: LockedJobs({uuid4()})})
    with pytest.raises(LockedJobs):
        parted(store, endings)


def test_what_is_in_doubt_is_parted_only_on_demand() -> None:
    endings = [ending() for _ in range(8)]
    store = Store({endings[5].job_id: DoubtfulEndings("why")})
    with pytest.raises(DoubtfulEndings):
        parted(store, endings)
    assert store.writes == [8]
    assert refused_ones(parted(store, endings, part_doubtful=True)) == {endings[5].job_id}


def test_several_in_doubt_in_a_row_are_the_stores_trouble() -> None:
    endings = [ending() for _ in range(8)]
    store = Store({each.job_id: DoubtfulEndings("why") for each in endings})
    answers: list[Sequence[Ending]] = []
    with pytest.raises(DoubtfulEndings):
        answers.extend(part for part, _answer in write_parted(cast(Any, store), endings, part_doubtful=True))
    assert len(answers) < STRANGE_IN_A_ROW


def test_an_outage_is_raised_after_what_was_written_is_told() -> None:
    endings = [ending() for _ in range(4)]
    store = Store({endings[0].job_id: BadEnding("no"), endings[3].job_id: ConnectionError("away")})
    written: list[UUID] = []
    with pytest.raises(ConnectionError):
        for part, _answer in write_parted(cast(Any, store), endings):
            written += [each.job_id for each in part]
    assert written == [endings[0].job_id, endings[1].job_id]
