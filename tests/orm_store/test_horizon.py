"""Horizon: when looks read only what is due later, and when they look at everything again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from pleme_redis_django.orm_store import claim_position
from pleme_redis_django.orm_store.claim_position import ClaimedUpTo
from pleme_redis_django.orm_store.horizon import COMMIT_SECONDS, Horizon
from pleme_redis_django.orm_store.long_look import LONG_SECONDS, PIECES_SHARE, Piece
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED, Pauses
from tests.orm_store.conftest import Clock

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
SLOW_SECONDS = 0.1
QUICK_SECONDS = 0.001
LIMIT = 10


@pytest.fixture
def horizon(clock: Clock) -> Horizon:
    return Horizon(lambda: NOW, clock)


def look(horizon: Horizon, clock: Clock, seconds: float = SLOW_SECONDS, *, everything: bool = True) -> None:
    begun = horizon.begin()
    clock.now += seconds
    horizon.saw(begun, 0, NOTHING_PAUSED, everything=everything)


def look_later(
    horizon: Horizon,
    clock: Clock,
    seconds: float = QUICK_SECONDS,
    *,
    all_of_them: bool = True,
    by_queue: bool = False,
) -> None:
    begun = horizon.begin_later()
    clock.now += seconds
    horizon.saw_later_ones(begun, 0, LATER, all_of_them=all_of_them, by_queue=by_queue)


def set_horizon(horizon: Horizon, clock: Clock) -> None:
    for _ in range(claim_position.SLOW_CLAIMS):
        assert horizon.since(NOTHING_PAUSED) is None
        look(horizon, clock)


def test_slow_looks_that_left_nothing_behind_set_a_horizon(horizon: Horizon, clock: Clock) -> None:
    set_horizon(horizon, clock)
    assert horizon.since(NOTHING_PAUSED) == NOW - timedelta(seconds=COMMIT_SECONDS)
    assert horizon.everything_in() is None


def test_quick_looks_set_none_and_ask_for_no_time(clock: Clock) -> None:
    asked: list[datetime] = []
    horizon = Horizon(lambda: asked.append(NOW) or NOW, clock)
    for _ in range(10):
        look(horizon, clock, QUICK_SECONDS)
        assert horizon.since(NOTHING_PAUSED) is None
    assert asked == []


def test_a_look_that_left_jobs_behind_sets_none(horizon: Horizon, clock: Clock) -> None:
    set_horizon(horizon, clock)
    look(horizon, clock, everything=False)
    assert horizon.since(NOTHING_PAUSED) is None


def test_a_look_behind_the_horizon_says_when_everything_is_looked_at(horizon: Horizon, clock: Clock) -> None:
    set_horizon(horizon, clock)
    look_later(horizon, clock)
    assert horizon.everything_in() == pytest.approx(SLOW_SECONDS / claim_position.HEAD_SHARE - QUICK_SECONDS)
    clock.now += SLOW_SECONDS / claim_position.HEAD_SHARE
    assert horizon.since(NOTHING_PAUSED) is None
    assert horizon.everything_in() == 0
    look(horizon, clock)
    assert horizon.everything_in() is None


def test_other_pauses_have_no_horizon(horizon: Horizon, clock: Clock) -> None:
    set_horizon(horizon, clock)
    assert horizon.since(Pauses(ids=(1,), queue_names=frozenset({"email"}))) is None


def test_slow_looks_behind_it_that_leave_nothing_set_a_later_horizon(horizon: Horizon, clock: Clock) -> None:
    """They read past jobs that have ended since, which a held snapshot keeps."""
    set_horizon(horizon, clock)
    everything_at = clock.now + SLOW_SECONDS / claim_position.HEAD_SHARE
    for _ in range(claim_position.SLOW_CLAIMS):
        assert horizon.since(NOTHING_PAUSED) == NOW - timedelta(seconds=COMMIT_SECONDS)
        look_later(horizon, clock, SLOW_SECONDS)
    assert horizon.since(NOTHING_PAUSED) == LATER - timedelta(seconds=COMMIT_SECONDS)
    # What was committed late is looked for when it would have been.
    assert horizon.everything_in() == pytest.approx(everything_at - clock.now)


def test_slow_looks_behind_it_that_leave_jobs_set_none(horizon: Horizon, clock: Clock) -> None:
    set_horizon(horizon, clock)
    for _ in range(2 * claim_position.SLOW_CLAIMS):
        look_later(horizon, clock, SLOW_SECONDS, all_of_them=False)
    assert horizon.since(NOTHING_PAUSED) == NOW - timedelta(seconds=COMMIT_SECONDS)


def test_a_new_backlog_behind_the_horizon_ends_it_where_the_heads_of_queues_are_read(
    horizon: Horizon, clock: Clock
) -> None:
    set_horizon(horizon, clock)
    for _ in range(claim_position.SLOW_CLAIMS):
        assert horizon.since(NOTHING_PAUSED) is not None
        look_later(horizon, clock, SLOW_SECONDS, all_of_them=False, by_queue=True)
    assert horizon.since(NOTHING_PAUSED) is None


@pytest.mark.parametrize("lets_in", [False, True])
def test_how_long_an_earlier_job_waits_at_most(clock: Clock, lets_in: bool) -> None:
    most = claim_position.MAX_SECONDS_WITHOUT_HEAD if lets_in else claim_position.MAX_SECONDS_WITH_NONE_LET_IN
    horizon = Horizon(lambda: NOW, clock, lets_in=lambda: lets_in)
    for _ in range(claim_position.SLOW_CLAIMS):
        look(horizon, clock, 60.0)
    clock.now += most - 0.1
    assert horizon.since(NOTHING_PAUSED) is not None
    clock.now += 0.2
    assert horizon.since(NOTHING_PAUSED) is None


def test_a_far_database_sets_none(clock: Clock) -> None:
    def ask() -> datetime:
        clock.now += SLOW_SECONDS / 3
        return NOW

    horizon = Horizon(ask, clock)
    for _ in range(10):
        look(horizon, clock)
        assert horizon.since(NOTHING_PAUSED) is None


def read_piece(
    horizon: Horizon, clock: Clock, *, found: int = 0, claimed: int | None = None, is_last: bool = False
) -> ClaimedUpTo:
    begun, last = horizon.begin_later(), ClaimedUpTo(0, NOW, uuid4())
    clock.now += QUICK_SECONDS
    ids = tuple(uuid4() for _ in range(found))
    piece = Piece(asked_at=NOW, ids=ids, last=None if is_last else last)
    claimed = found if claimed is None else claimed
    horizon.saw_piece(begun, piece, NOTHING_PAUSED, is_enough=claimed == LIMIT)
    return last


@pytest.fixture
def long_horizon(clock: Clock) -> Horizon:
    horizon = Horizon(lambda: NOW, clock)
    look(horizon, clock, LONG_SECONDS + QUICK_SECONDS)
    return horizon


def test_a_long_look_goes_on_behind_its_last_piece_in_a_share_of_the_time(
    long_horizon: Horizon, clock: Clock
) -> None:
    horizon = long_horizon
    assert horizon.looks_in_pieces(NOTHING_PAUSED) and horizon.read_up_to is None
    for found in (0, 3):
        last = read_piece(horizon, clock, found=found)
        assert horizon.read_up_to == last and not horizon.is_piece_due()
        assert horizon.since(NOTHING_PAUSED) == NOW - timedelta(seconds=COMMIT_SECONDS)
        assert horizon.everything_in() == pytest.approx(QUICK_SECONDS * (1 / PIECES_SHARE - 1))
        clock.now += QUICK_SECONDS / PIECES_SHARE
        assert horizon.is_piece_due() and horizon.everything_in()
    read_piece(horizon, clock, is_last=True)
    assert horizon.everything_in() is None and not horizon.is_piece_due()
    assert horizon.since(NOTHING_PAUSED) == NOW - timedelta(seconds=COMMIT_SECONDS)
    clock.now += 4 * QUICK_SECONDS / claim_position.HEAD_SHARE
    assert horizon.since(NOTHING_PAUSED) is None and horizon.looks_in_pieces(NOTHING_PAUSED)


@pytest.mark.parametrize(("found", "is_last"), [(LIMIT, False), (0, True), (3, True)])
def test_a_look_that_was_not_long_is_made_at_once_the_next_time(
    long_horizon: Horizon, clock: Clock, found: int, is_last: bool
) -> None:
    read_piece(long_horizon, clock, found=found, is_last=is_last)
    assert not long_horizon.looks_in_pieces(NOTHING_PAUSED)
    assert long_horizon.since(NOTHING_PAUSED) is None and long_horizon.everything_in() is None


@pytest.mark.parametrize("claimed", [0, LIMIT - 1])
def test_a_look_goes_on_behind_a_piece_whose_jobs_others_have_taken(
    long_horizon: Horizon, clock: Clock, claimed: int
) -> None:
    last = read_piece(long_horizon, clock, found=LIMIT, claimed=claimed)
    assert long_horizon.everything_in() and long_horizon.looks_in_pieces(NOTHING_PAUSED)
    assert long_horizon.read_up_to == last
    read_piece(long_horizon, clock, found=LIMIT, claimed=claimed, is_last=True)
    assert long_horizon.everything_in() is None


def test_one_piece_that_reads_everything_slowly_sets_a_horizon(long_horizon: Horizon, clock: Clock) -> None:
    """All that it read past is dead, and kept by a snapshot."""
    begun = long_horizon.begin_later()
    clock.now += SLOW_SECONDS
    long_horizon.saw_piece(begun, Piece(asked_at=NOW, ids=(), last=None), NOTHING_PAUSED, is_enough=False)
    assert long_horizon.since(NOTHING_PAUSED) == NOW - timedelta(seconds=COMMIT_SECONDS)
    clock.now += SLOW_SECONDS / claim_position.HEAD_SHARE
    assert long_horizon.since(NOTHING_PAUSED) is None and long_horizon.looks_in_pieces(NOTHING_PAUSED)


def test_a_look_that_took_long_is_made_in_pieces_the_next_time(horizon: Horizon, clock: Clock) -> None:
    look(horizon, clock, LONG_SECONDS)
    assert not horizon.looks_in_pieces(NOTHING_PAUSED)
    look(horizon, clock, LONG_SECONDS + QUICK_SECONDS, everything=False)
    assert not horizon.looks_in_pieces(NOTHING_PAUSED)
    look(horizon, clock, LONG_SECONDS + QUICK_SECONDS)
    assert horizon.looks_in_pieces(NOTHING_PAUSED)


def test_other_pauses_begin_a_long_look_anew(long_horizon: Horizon, clock: Clock) -> None:
    read_piece(long_horizon, clock)
    assert long_horizon.looks_in_pieces(Pauses(ids=(1,), queue_names=frozenset({"email"})))
    assert long_horizon.read_up_to is None


def test_jobs_that_have_come_back_are_looked_for_at_once(horizon: Horizon, clock: Clock) -> None:
    set_horizon(horizon, clock)
    look_later(horizon, clock)
    horizon.look_again()
    assert horizon.since(NOTHING_PAUSED) is None and horizon.everything_in() == 0
    look(horizon, clock)
    assert horizon.since(NOTHING_PAUSED) is not None, "one slow look is enough for the next horizon"


def test_jobs_that_come_back_during_a_long_look_are_looked_for_at_its_end(
    long_horizon: Horizon, clock: Clock
) -> None:
    last = read_piece(long_horizon, clock)
    long_horizon.look_again()
    assert long_horizon.read_up_to == last and long_horizon.since(NOTHING_PAUSED) is not None
    read_piece(long_horizon, clock, is_last=True)
    assert long_horizon.since(NOTHING_PAUSED) is None and long_horizon.everything_in() == 0
    assert long_horizon.looks_in_pieces(NOTHING_PAUSED) and long_horizon.read_up_to is None
    read_piece(long_horizon, clock)
    read_piece(long_horizon, clock, is_last=True)
    assert long_horizon.since(NOTHING_PAUSED) is not None and long_horizon.everything_in() is None


def test_a_long_look_comes_to_its_end_however_slow_the_looks_behind_it_are(
    long_horizon: Horizon, clock: Clock
) -> None:
    read_piece(long_horizon, clock)
    for _ in range(10 * claim_position.SLOW_CLAIMS):
        look_later(long_horizon, clock, LONG_SECONDS + QUICK_SECONDS)
    assert long_horizon.read_up_to is not None and long_horizon.is_piece_due()
    read_piece(long_horizon, clock, is_last=True)
    assert long_horizon.since(NOTHING_PAUSED) is not None
