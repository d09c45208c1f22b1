"""Pickles of plain constants are read, and of every other one nothing is imported, called or built."""

from __future__ import annotations

import os
import pickle
import random
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django.adoption.schedules.entry import CannotExpress
from pleme_redis_django.adoption.schedules.plain_pickle import plain_constants

VALUE = (
    "shop.tasks.send",
    None,
    (1, -5, 2**40, 2.5, True, False, None, "ü" * 300, b"bytes", [], (), {}, [1], (1, 2), ("a",) * 5),
    {"a": [{"b": (1, 2, 3)}], "c": "c" * 70_000, "d": list(range(2_000))},
)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_constants_are_what_was_pickled(protocol: int) -> None:
    assert plain_constants(pickle.dumps(VALUE, protocol)) == VALUE


def test_shared_values_are_read() -> None:
    shared = ["a"]
    assert plain_constants(pickle.dumps([shared, shared])) == [["a"], ["a"]]


class Touch:
    """A pickle that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_called(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "called"
    data = pickle.dumps(("f", None, (Touch(path),), {}), protocol)
    with pytest.raises(CannotExpress):
        plain_constants(data)
    assert not path.exists()
    pickle.loads(data)
    assert path.exists(), "the pickle is one that calls"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), "datetime.datetime"),
        (Decimal("1.5"), "decimal.Decimal"),
        (os.getcwd, "posix.getcwd"),
        ({1, 2}, "EMPTY_SET"),
        (frozenset({1}), "FROZENSET"),
        (bytearray(b"a"), "BYTEARRAY8"),
        (2**200, "201 bits"),
        ({1: 2}, "broken"),
    ],
)
def test_refusal_names_what_is_no_constant(value: Any, named: str) -> None:
    with pytest.raises(CannotExpress, match=named):
        plain_constants(pickle.dumps([value], 5))


def test_references_that_grow_without_end_are_refused() -> None:
    value: list[Any] = ["a"]
    for _ in range(40):
        value = [value, value]
    with pytest.raises(CannotExpress, match="more than 10,000 values"):
        plain_constants(pickle.dumps(value))


def test_more_steps_than_any_call_has_are_refused() -> None:
    with pytest.raises(CannotExpress, match="100,000 steps"):
        plain_constants(b"\x80\x04" + b"N" * 200_000 + b".")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04",
        b"\x80\x04.",
        b"\x80\x04a.",
        b"\x80\x04(.",
        b"\x80\x04N(u.",
        b"\x80\x04e.",
        b"\x80\x04}(NNu.",
        b"\x80\x04}(Nu.",
        b"\x80\x04h\x07.",
        b"\x80\x04NN.",
        b"\x80\x04\x94.",
        b"\x80\x04\x85.",
        b"\x80\x04X\xff\xff\xff\xff.",
        b"\x80\x04cos\nsystem\n.",
        b"\x80\x04\x82\x01.",
        b"\x80\x04\x93.",
    ],
)
def test_broken_pickle_is_refused(data: bytes) -> None:
    with pytest.raises(CannotExpress):
        plain_constants(data)


def test_mangled_pickles_are_read_or_refused() -> None:
    """Whatever the bytes are, there is a value or a refusal."""
    chance, data = random.Random(7), pickle.dumps(VALUE[:3])
    for _ in range(2_000):
        mangled = bytearray(data)
        for _ in range(chance.randrange(1, 5)):
            mangled[chance.randrange(len(mangled))] = chance.randrange(256)
        try:
            plain_constants(bytes(mangled))
        except CannotExpress as refusal:
            assert str(refusal)
