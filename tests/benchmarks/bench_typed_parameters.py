"""Typed parameters: what each type costs over plain JSON, both ways, and what annotations of JSON's own types cost."""

from __future__ import annotations

import dataclasses
import enum
import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any
from uuid import UUID, uuid4

from pleme_redis_django.jobs.definitions.codecs.compiling import Compiler
from pleme_redis_django.jobs.definitions.declaring import definition_of
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers

CALLS = 1_000
ROUNDS = 15
MICROSECONDS_A_VALUE = 5.0


class Kind(enum.Enum):
    CARD = "card"


@dataclasses.dataclass
class Line:
    price: Decimal
    count: int
    kind: Kind
    since: date


LINE = Line(Decimal("9.50"), 2, Kind.CARD, date(2026, 1, 31))
# What it is, an annotation, a value, and how many values are in it.
TYPES: list[tuple[str, Any, Any, int]] = [
    ("datetime", datetime, datetime.now(UTC), 1),
    ("timedelta", timedelta, timedelta(days=1, seconds=3.5), 1),
    ("Decimal", Decimal, Decimal("9.50"), 1),
    ("UUID", UUID, uuid4(), 1),
    ("Enum", Kind, Kind.CARD, 1),
    ("bytes", bytes, b"0123456789abcdef", 1),
    ("dataclass of 4 fields", Line, LINE, 4),
    ("list[dataclass], 10 of 4 fields", list[Line], [LINE] * 10, 40),
    ("dict[str, Decimal], 10 items", dict[str, Decimal], {str(n): Decimal(n) for n in range(10)}, 10),
]


def plain(count: int, name: str, total: float) -> None: ...
def unannotated(count, name, total) -> None: ...


def run(servers: BenchmarkServers) -> list[Row]:
    return [*map(_row_of_type, TYPES), *_rows_of_plain()]


def _row_of_type(case: tuple[str, Any, Any, int]) -> Row:
    name, annotation, value, values = case
    codec = Compiler().codec_of(annotation)
    stored = codec.encode(value)

    def as_json() -> None:
        json.loads(json.dumps(stored))

    def typed() -> None:
        codec.decode(json.loads(json.dumps(codec.encode(value))))

    before, after = _in_turns(as_json, typed)
    return Row(
        name=f"{name}, both ways",
        value=(after - before) / values,
        unit="us",
        target=MICROSECONDS_A_VALUE,
        at_least=False,
        note=f"a value, over the JSON of it; median of {ROUNDS} rounds in turns",
    )


def _rows_of_plain() -> list[Row]:
    given = {"count": 1, "name": "a", "total": 2.5}
    definitions = [definition_of(function) for function in (unannotated, plain)]
    both = [_both_ways(definition, given) for definition in definitions]
    without, annotated = _in_turns(*both)
    note = "3 parameters, an enqueue's check and an attempt's"
    return [
        Row(name="unannotated parameters", value=without, unit="us", note=note),
        Row(name="parameters of int, str and float", value=annotated, unit="us", note=note),
    ]


def _both_ways(definition: Any, given: dict[str, Any]) -> Callable[[], None]:
    def both() -> None:
        definition.decoded_parameters(definition.encoded_parameters(given))

    return both


def _in_turns(first: Callable[[], None], second: Callable[[], None]) -> tuple[float, float]:
    """Return the median microseconds of a call of each."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for function, durations in zip((first, second), taken, strict=True):
            # Of the processor: what others run on the machine meanwhile is not counted.
            started = time.process_time()
            for _call in range(CALLS):
                function()
            durations.append((time.process_time() - started) / CALLS * 1e6)
    return median(taken[0]), median(taken[1])
