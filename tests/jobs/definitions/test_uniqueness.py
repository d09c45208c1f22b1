"""When two jobs are the same: the slot and what can be read off it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from pleme_redis_django import once_per
from pleme_redis_django.exceptions import InvalidJobDefinition
from pleme_redis_django.jobs.definitions.uniqueness import (
    UniqueMode,
    Uniqueness,
    as_uniqueness,
    parameters_key,
    period_seconds,
    waits_only,
)

MODES = [
    Uniqueness(mode=UniqueMode.WHILE_WAITING),
    Uniqueness(mode=UniqueMode.WHILE_RUNNING),
    once_per(60),
    once_per(366 * 86_400),
]


@pytest.mark.parametrize("uniqueness", MODES)
def test_a_slot_fits_its_column_and_depends_on_type_and_key(uniqueness: Uniqueness) -> None:
    slot = uniqueness.slot("shop.jobs.send", "key")
    assert len(slot) <= 64
    assert slot == uniqueness.slot("shop.jobs.send", "key")
    assert len({slot, uniqueness.slot("shop.jobs.other", "key"), uniqueness.slot("shop.jobs.send", "k")}) == 3


def test_modes_do_not_share_slots() -> None:
    assert len({uniqueness.slot("t", "k") for uniqueness in MODES}) == len(MODES)


def test_what_can_be_read_off_a_slot() -> None:
    waiting, running, minute, year = (uniqueness.slot("t", "k") for uniqueness in MODES)
    assert [waits_only(slot) for slot in (waiting, running, minute, None)] == [True, False, False, False]
    assert [period_seconds(slot) for slot in (waiting, running, minute, year)] == [
        None,
        None,
        60,
        366 * 86_400,
    ]


def test_equal_parameters_make_one_key() -> None:
    assert parameters_key({"a": 1, "b": {"c": 2, "d": 3}}) == parameters_key({"b": {"d": 3, "c": 2}, "a": 1})
    assert parameters_key({"a": 1}) != parameters_key({"a": "1"})
    assert parameters_key({"a": [1, 2]}) != parameters_key({"a": [2, 1]})


def test_every_process_makes_the_same_slot() -> None:
    """Python's own hash() is salted per process, and would never find a twin."""
    program = (
        "from pleme_redis_django.jobs.definitions.uniqueness import *\n"
        "print(Uniqueness(mode=UniqueMode.WHILE_RUNNING).slot('t', parameters_key({'b': 1, 'a': '\u00e9'})))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    own = Uniqueness(mode=UniqueMode.WHILE_RUNNING).slot("t", parameters_key({"a": "\u00e9", "b": 1}))
    assert answer.stdout.strip() == own


def test_options_by_name() -> None:
    assert as_uniqueness("while_waiting") == MODES[0]
    assert as_uniqueness("while_running") == MODES[1]
    assert as_uniqueness(None) is None
    assert as_uniqueness(MODES[2]) is MODES[2]


@pytest.mark.parametrize("seconds", [0, -1, 1.5, True, "60", 366 * 86_400 + 1])
def test_a_bad_period_is_refused(seconds: Any) -> None:
    with pytest.raises(InvalidJobDefinition, match="accepted is a whole number of seconds"):
        once_per(seconds)
