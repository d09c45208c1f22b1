"""Models of pydantic as parameters and results; the package itself never imports pydantic."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pleme_redis_django.jobs.definitions.codecs.codec import Mismatch
from pleme_redis_django.jobs.definitions.codecs.compiling import Compiler

pydantic = pytest.importorskip("pydantic")


class Line(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    price: Decimal
    at: datetime
    unit: str = pydantic.Field(default="piece", alias="Unit")

    @pydantic.computed_field
    def double(self) -> Decimal:
        return self.price * 2


class Order(pydantic.BaseModel):
    lines: list[Line]
    count: int = pydantic.Field(gt=0)


class SubOrder(Order):
    more: int = 0


@pydantic.dataclasses.dataclass
class Place:
    street: str
    since: datetime | None = None


class Numbers(pydantic.RootModel[list[int]]):
    pass


LINE = Line(price=Decimal("9.50"), at=datetime(2026, 1, 31, tzinfo=UTC), Unit="box")


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Line, LINE),
        (Order, Order(lines=[LINE], count=1)),
        (list[Order | None], [None, Order(lines=[], count=2)]),
        (Place, Place("a", datetime(2026, 1, 31, tzinfo=UTC))),
        (Numbers, Numbers([1, 2])),
        (dict[str, Place | str], {"a": Place("b"), "c": "d"}),
    ],
)
def test_a_model_comes_back_equal(annotation: Any, value: Any) -> None:
    codec = Compiler().codec_of(annotation)
    stored = json.loads(json.dumps(codec.encode(value)))
    assert codec.decode(stored) == value


def test_what_is_stored_is_plain() -> None:
    stored = Compiler().codec_of(Line).encode(LINE)
    assert stored == {"price": "9.50", "at": "2026-01-31T00:00:00Z", "Unit": "box"}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Order, {"lines": [], "count": 1}),
        (Order, SubOrder(lines=[], count=1)),
        (Order, Order.model_construct(lines="no", count=1)),
        (Place, ("a", None)),
    ],
)
def test_another_value_is_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(Mismatch):
        Compiler().codec_of(annotation).encode(value)


def test_a_stored_value_that_the_model_refuses_is_named_with_its_place() -> None:
    stored = {"lines": [{"price": "x", "at": "2026-01-31T00:00:00Z"}], "count": 1}
    with pytest.raises(Mismatch) as caught:
        Compiler().codec_of(list[Order]).decode([stored])
    assert caught.value.path == "[0]"
    assert caught.value.problem.startswith("is not a valid Order (lines[0].price: ")


def test_without_a_model_pydantic_is_not_imported() -> None:
    program = (
        "import sys, datetime\n"
        "from pleme_redis_django.jobs.definitions.codecs.compiling import Compiler\n"
        "Compiler().codec_of(list[datetime.date])\n"
        "print('pydantic' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
