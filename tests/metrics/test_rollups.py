"""Rollups: steps add up to coarser ones, each is written once, and old ones go."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.db.models import Sum

from pleme_redis_django.metrics.rollups import KEPT_SECONDS, RollupStore, read
from pleme_redis_django.metrics.tally import Tally, with_totals
from pleme_redis_django.models import QueueRollup
from tests.metrics.measuring import LABEL
from tests.rows import BACKENDS

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]

HOUR = 1_700_000_000 // 3600 * 3600
EMAILS = ("shop", "emails")


def store_of(using: str) -> RollupStore:
    return RollupStore(job_model=LABEL, using=using)


def fill(store: RollupStore, begin: int, end: int, **fields: Any) -> None:
    """Write a measurement every ten seconds, as a sampler would."""
    for at in range(begin, end, 10):
        tallies = with_totals({EMAILS: Tally(**fields)})
        store.add({(at, key): one for key, one in tallies.items()})


def rows(store: RollupStore, step: int) -> dict[int, Tally]:
    return {at: one for (at, key), one in read(store.rows(step)).items() if key == EMAILS}


def test_what_is_added_to_a_step_adds_up(using: str) -> None:
    store = store_of(using)
    store.add({(HOUR, EMAILS): Tally(completed=2, waits=Counter({5: 2}), overlooked=1, ready=9, running=1)})
    store.add(
        {(HOUR, EMAILS): Tally(completed=1, failed=3, waits=Counter({5: 1, 7: 1}), overlooked=2, ready=4)}
    )
    expected = Tally(completed=3, failed=3, waits=Counter({5: 3, 7: 1}), overlooked=3, ready=9, running=1)
    assert rows(store, 10) == {HOUR: expected}
    store.add({})


def test_coarser_steps_are_the_sum_of_finer_ones(using: str) -> None:
    store = store_of(using)
    fill(store, HOUR, HOUR + 3600, completed=1, retried=2, failed=3, cancelled=4, runs=Counter({1: 10}))
    store.roll_up(HOUR + 3600 + 20)
    for step, parts in ((60, 6), (600, 60), (3600, 360)):
        found = rows(store, step)
        assert list(found) == list(range(HOUR, HOUR + 3600, step))
        assert set(map(repr, found.values())) == {
            repr(
                Tally(
                    completed=parts,
                    retried=2 * parts,
                    failed=3 * parts,
                    cancelled=4 * parts,
                    runs=Counter({1: 10 * parts}),
                )
            )
        }


def test_depths_are_the_most_that_was_found(using: str) -> None:
    store = store_of(using)
    for at, ready in ((0, 5), (10, 80), (20, 7)):
        fill(store, HOUR + at, HOUR + at + 10, ready=ready, running=ready // 5, blocked=ready // 10)
    store.roll_up(HOUR + 80)
    minute = rows(store, 60)[HOUR]
    assert (minute.ready, minute.running, minute.blocked) == (80, 16, 8)


def test_a_step_stays_open_until_late_counts_can_have_come(using: str) -> None:
    store = store_of(using)
    fill(store, HOUR, HOUR + 60, completed=1)
    store.roll_up(HOUR + 60 + 19)
    assert rows(store, 60) == {}
    store.roll_up(HOUR + 60 + 20)
    assert list(rows(store, 60)) == [HOUR]


def test_a_step_is_put_together_once(using: str) -> None:
    store = store_of(using)
    fill(store, HOUR, HOUR + 120, completed=1)
    for now in (HOUR + 85, HOUR + 85, HOUR + 145):
        store.roll_up(now)
    assert {at: one.completed for at, one in rows(store, 60).items()} == {HOUR: 6, HOUR + 60: 6}


def test_what_nobody_put_together_for_a_while_is_caught_up(using: str) -> None:
    store = store_of(using)
    fill(store, HOUR, HOUR + 60, completed=1)
    store.roll_up(HOUR + 80)
    fill(store, HOUR + 1200, HOUR + 1260, completed=1)
    store.roll_up(HOUR + 3700)
    assert list(rows(store, 60)) == [HOUR, HOUR + 1200]
    assert rows(store, 3600)[HOUR].completed == 12


def test_nothing_measured_is_nothing_to_put_together(using: str) -> None:
    store_of(using).roll_up(HOUR)
    assert not QueueRollup.objects.using(using).exists()


def test_each_resolution_is_kept_for_its_time(using: str) -> None:
    store = store_of(using)
    now = HOUR + 30 * 24 * 3600
    for step, kept in KEPT_SECONDS.items():
        for at in (now - kept - step, now - kept, now - step):
            store._write(step, {(at // step * step, EMAILS): Tally(completed=1)})
    store.prune(now)
    for step, kept in KEPT_SECONDS.items():
        assert list(rows(store, step)) == [(now - kept) // step * step, now - step]


def test_another_job_model_has_its_own(using: str) -> None:
    store, other = store_of(using), RollupStore(job_model="shop.emailjob", using=using)
    fill(store, HOUR, HOUR + 60, completed=1)
    fill(other, HOUR, HOUR + 60, completed=5)
    store.roll_up(HOUR + 80)
    assert rows(store, 60)[HOUR].completed == 6
    assert not other.rows(60).exists()
    store.prune(HOUR + 30 * 24 * 3600)
    assert other.rows(10).aggregate(total=Sum("completed"))["total"] == 3 * 6 * 5
