"""What annotations say of a handler: read however they are written, checked both ways, free where all is JSON."""

from __future__ import annotations

import dataclasses
import functools
import sys
import typing
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from uuid import UUID, uuid4

import pytest

from pleme_redis_django import InvalidParameters
from pleme_redis_django.exceptions import InvalidJobDefinition, InvalidResult
from pleme_redis_django.jobs.definitions.codecs.moments import bind_zone_of_naive
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.schedule import every
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.testing import MemoryJob

if TYPE_CHECKING:
    from collections import OrderedDict

    from tests.jobs.definitions.codecs.types import Kind

P = ParamSpec("P")
R = TypeVar("R")


def charge(order: UUID, amount: Decimal, lines: list[Line] | None = None) -> Receipt:
    return Receipt(order=order, total=amount)


# Further down than the handler that names them.
@dataclasses.dataclass(frozen=True)
class Line:
    price: Decimal


@dataclasses.dataclass(frozen=True)
class Receipt:
    order: UUID
    total: Decimal


def plain(
    count: int, name: str, tags: list[Any], anything: Any, unannotated=None, **more: object
) -> None: ...
def with_context(ctx: OrderedDict[str, str], day: date) -> date:
    return day


def of_unknown(kind: Kind) -> None: ...
def of_a_class(thing: Handler) -> None: ...
def of_no_type(thing: 5) -> None: ...
def of_two_texts(day: date | datetime) -> None: ...
def with_wrong_default(day: date = "today") -> Any:
    return day


def with_keywords(first: date, other: Any = None, **days: date) -> Any:
    return first, other, days


async def areceipt(total: Decimal) -> Receipt:
    return Receipt(order=UUID(int=0), total=total)


def awaitable(total: Decimal) -> Awaitable[Decimal]:
    return _later(total)


async def _later(total: Decimal) -> Decimal:
    return total


def lying(value: Any) -> list[Decimal]:
    return typing.cast("list[Decimal]", value)


def logged(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return inner


@logged
def decorated(day: date) -> date:
    return day


class Handler:
    pass


def job_of(definition: Any, **parameters: Any) -> MemoryJob:
    return MemoryJob(job_type=definition.name, parameters=parameters)


ORDER = uuid4()


def test_what_is_enqueued_is_stored_plain_and_given_typed() -> None:
    definition = definition_of(charge)
    stored = definition.bind((ORDER,), {"amount": Decimal("9.50"), "lines": [Line(Decimal(1))]})
    assert stored == {"order": str(ORDER), "amount": "9.50", "lines": [{"price": "1"}]}
    job = job_of(definition, **stored)
    assert definition.decoded_parameters(job.parameters) == {
        "order": ORDER,
        "amount": Decimal("9.50"),
        "lines": [Line(Decimal(1))],
    }
    assert definition.run(job) == {"order": str(ORDER), "total": "9.50"}


def test_each_way_to_enqueue_refuses_with_the_place_the_value_and_what_is_accepted() -> None:
    definition = definition_of(charge)
    wrong = {"order": ORDER, "amount": Decimal(1), "lines": [Line(Decimal(1)), Line("9.50")]}
    words = (
        r"charge: lines\[1\]\.price is '9.50' \(str\), and its annotation is Decimal\. Accepted: .*Decimal\("
    )
    with pytest.raises(InvalidParameters, match=words):
        definition.bind((), wrong)
    with pytest.raises(InvalidParameters, match=words):
        definition.bind(tuple(wrong.values()), {})
    with pytest.raises(InvalidParameters, match=words):
        list(definition._bound([wrong]))
    with pytest.raises(InvalidParameters, match=words):
        definition.using(priority=5).bind((), wrong)


def test_a_stored_row_that_does_not_fit_any_more_names_both_sides() -> None:
    definition = definition_of(charge)
    words = r"the stored lines\[0\]\.price is 'much' \(str\), and its annotation is Decimal"
    with pytest.raises(InvalidParameters, match=words) as caught:
        definition.run(job_of(definition, order=str(ORDER), amount="1", lines=[{"price": "much"}]))
    assert caught.value.retryable is False


def test_parameters_of_json_are_neither_copied_nor_changed() -> None:
    definition = definition_of(plain)
    given = {"count": 1, "name": "a", "tags": [1], "anything": {}, "unannotated": [None], "more": 2}
    assert definition.types.encoded(given) is given
    assert definition.types.decoded(given) is given
    assert definition.types.result is None


@pytest.mark.parametrize(("name", "value"), [("count", True), ("count", "1"), ("name", 5), ("tags", (1,))])
def test_plain_annotations_are_held_to_as_well(name: str, value: Any) -> None:
    given = {"count": 1, "name": "a", "tags": [], "anything": None, name: value}
    with pytest.raises(InvalidParameters, match=f"{name} is "):
        definition_of(plain).bind((), given)
    with pytest.raises(InvalidParameters, match=f"the stored {name} is "):
        definition_of(plain).run(job_of(definition_of(plain), **given))


def test_the_context_may_be_annotated_with_what_only_type_checkers_know() -> None:
    definition = definition_of(with_context)
    assert definition.bind((date(2026, 1, 31),), {}) == {"day": "2026-01-31"}


def test_a_name_that_only_type_checkers_know_is_refused_at_the_first_use() -> None:
    definition = definition_of(of_unknown)
    assert definition.types.prepare() is False
    with pytest.raises(InvalidJobDefinition, match=r"'Kind' is not defined.*TYPE_CHECKING"):
        definition.bind((), {"kind": "card"})


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (of_a_class, "the annotation of thing is Handler, which no job has: Handler has no form in JSON"),
        (of_no_type, "the annotation of thing is 5, which no job has"),
        (of_two_texts, "date and datetime may be the same as JSON"),
    ],
)
def test_an_annotation_that_no_job_can_have_is_refused_at_decoration(function: Any, words: str) -> None:
    with pytest.raises(InvalidJobDefinition, match=words):
        definition_of(function)


def test_a_default_of_a_wrong_type_is_left_alone() -> None:
    definition = definition_of(with_wrong_default)
    assert definition.bind((), {}) == {}
    assert definition.run(job_of(definition)) == "today"


def test_the_annotation_of_keywords_is_that_of_each() -> None:
    definition = definition_of(with_keywords)
    stored = definition.bind((date(2026, 1, 1),), {"other": "o", "b": date(2026, 1, 2)})
    assert stored == {"first": "2026-01-01", "other": "o", "b": "2026-01-02"}
    assert definition.run(job_of(definition, **stored)) == (date(2026, 1, 1), "o", {"b": date(2026, 1, 2)})
    with pytest.raises(InvalidParameters, match="c is 5"):
        definition.bind((date(2026, 1, 1),), {"c": 5})


def test_a_decorated_handler_has_the_annotations_of_the_function_in_it() -> None:
    definition = definition_of(decorated)
    assert definition.bind((date(2026, 1, 31),), {}) == {"day": "2026-01-31"}
    assert definition.run(job_of(definition, day="2026-01-31")) == "2026-01-31"


async def test_the_result_of_an_async_handler_is_encoded_too() -> None:
    definition = definition_of(areceipt)
    assert await definition.run(job_of(definition, total="9.50")) == {
        "order": str(UUID(int=0)),
        "total": "9.50",
    }
    other = definition_of(awaitable)
    assert await other.run(job_of(other, total="9.50")) == "9.50"


def test_a_result_that_the_annotation_does_not_accept_fails_the_attempt() -> None:
    definition = definition_of(lying)
    with pytest.raises(InvalidResult, match=r"result\[1\] is '2' \(str\), and its annotation is Decimal"):
        definition.run(job_of(definition, value=[Decimal(1), "2"]))


def test_the_typed_result_of_a_job() -> None:
    definition = definition_of(charge)
    job = SimpleNamespace(
        job_type=definition.name, status=JobStatus.COMPLETED, results={"order": str(ORDER), "total": "9.50"}
    )
    assert definition.result_of(job) == Receipt(order=ORDER, total=Decimal("9.50"))
    job.results = {"order": str(ORDER)}
    with pytest.raises(InvalidResult, match="the stored result has no 'total'"):
        definition.result_of(job)
    job.status = JobStatus.RUNNING
    with pytest.raises(InvalidResult, match=r"is RUNNING.*refresh_from_db"):
        definition.result_of(job)
    job.status, job.job_type = JobStatus.COMPLETED, "other"
    with pytest.raises(InvalidResult, match="of other"):
        definition.result_of(job)


def test_what_contains_itself_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="contains itself"):
        definition_of(recursive).bind((), {"value": Chain(None)._with_itself()})


@dataclasses.dataclass
class Chain:
    following: Chain | None

    def _with_itself(self) -> Chain:
        self.following = self
        return self


def recursive(value: Chain) -> None: ...


def test_a_row_that_is_nested_without_end_fails_as_what_does_not_fit() -> None:
    stored: dict[str, Any] = {"following": None}
    for _ in range(sys.getrecursionlimit()):
        stored = {"following": stored}
    with pytest.raises(InvalidParameters, match="nested too deeply"):
        definition_of(recursive).decoded_parameters({"value": stored})


def test_without_use_tz_a_naive_time_is_kept_and_another_becomes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoneinfo import ZoneInfo

    from pleme_redis_django.jobs.definitions.codecs import moments

    monkeypatch.setattr(moments, "_zones_of_naive", [])
    bind_zone_of_naive(lambda: ZoneInfo("Europe/Berlin"))
    codec = moments.MOMENT
    assert codec.encode(datetime(2026, 1, 31, 9, 30)) == "2026-01-31T09:30:00"  # noqa: DTZ001 - naive
    assert codec.encode(datetime(2026, 1, 31, 9, 30, tzinfo=UTC)) == "2026-01-31T10:30:00"
    assert codec.decode("2026-01-31T09:30:00+00:00") == datetime(2026, 1, 31, 10, 30)  # noqa: DTZ001 - naive


def test_the_parameters_of_a_declared_schedule_are_as_they_are_stored() -> None:
    assert definition_of(decorated, schedule=every(60, parameters={"day": "2026-01-31"})).schedules
    with pytest.raises(InvalidParameters, match=r"the stored day is 'today'"):
        definition_of(decorated, schedule=every(60, parameters={"day": "today"}))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is of Python 3.12")
def test_type_statements_and_type_parameters(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs_of_312.py").write_text(
        "from __future__ import annotations\n"
        "from datetime import date\n"
        "type Nested = date | list[Nested]\n"
        "def handler[T: date](value: Nested, first: T) -> T: return first\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import jobs_of_312

    definition = definition_of(jobs_of_312.handler)
    day = date(2026, 1, 31)
    stored = definition.bind(([day, [day]], day), {})
    assert stored == {"value": ["2026-01-31", ["2026-01-31"]], "first": "2026-01-31"}
    assert definition.decoded_parameters(stored) == {"value": [day, [day]], "first": day}
