"""Rotation: a look at all products is made in parts, between the claims of a busy worker."""

from __future__ import annotations

import pytest

from pleme_redis_django.jobs.interface.fair_shares import Strand
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.fairness.rotation import LOOK_SECONDS, LOOK_SHARE, Rotation
from tests.orm_store.conftest import Clock

PART_SECONDS = 0.003


@pytest.fixture
def rotation(clock: Clock) -> Rotation:
    rotation = Rotation({}, JobSelection(fair=True), clock)
    assert not rotation.is_look_due(100), "nobody waits"
    rotation.found([Job(product="m")], everything=False)
    return rotation


def look(
    rotation: Rotation, clock: Clock, *products: str, on_after: str | None = None
) -> tuple[str | None, str | None]:
    """Look as a claim does; return after which product, and until which one."""
    begun = rotation.begin_look()
    clock.now += PART_SECONDS
    rotation.looked(begun, [Strand(product) for product in products], on_after)
    return begun.after, begun.until


def test_a_look_goes_on_in_a_share_of_the_time(rotation: Rotation, clock: Clock) -> None:
    assert rotation.is_look_due(1)
    look(rotation, clock, "a", "b", on_after="b")
    assert not rotation.is_look_due(3), "the claim may take its jobs of three products"
    clock.now += PART_SECONDS / LOOK_SHARE
    assert rotation.is_look_due(3)


def test_a_look_in_parts_goes_on_behind_a_product_of_this_worker_and_comes_round_to_it(
    rotation: Rotation, clock: Clock
) -> None:
    assert look(rotation, clock, "a", "b", on_after="b") == (None, None)
    assert look(rotation, clock, "n", "o", on_after="o") == ("m", None), "others go on behind others"
    assert look(rotation, clock, "p") == ("o", None)
    assert look(rotation, clock, "c", "d", on_after="d") == ("b", "m")
    assert look(rotation, clock, "e") == ("d", "m")
    assert not rotation.is_look_due(100), "these are all"
    assert len(rotation.shares) == 9
    clock.now += LOOK_SECONDS
    assert look(rotation, clock) == (None, None), "the next one begins"


def test_while_few_products_are_known_a_look_goes_on_at_once(rotation: Rotation, clock: Clock) -> None:
    look(rotation, clock, "a", "b", on_after="b")
    assert rotation.is_look_due(4)
    look(rotation, clock, "n")
    assert rotation.is_look_due(10), "not those between b and m"
    look(rotation, clock, "c")
    assert not rotation.is_look_due(10), "these are all"


def test_the_next_look_at_everything_is_a_second_after_the_beginning_of_the_last(
    rotation: Rotation, clock: Clock
) -> None:
    begin = clock.now
    look(rotation, clock, "a", on_after="a")
    for _part in range(2):
        clock.now += PART_SECONDS / LOOK_SHARE
        look(rotation, clock, "b")
    clock.now = begin + LOOK_SECONDS - 0.01
    assert not rotation.is_look_due(100)
    clock.now = begin + LOOK_SECONDS
    assert rotation.is_look_due(1)
    assert look(rotation, clock) == (None, None)
