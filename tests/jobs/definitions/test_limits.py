"""Limit, Rate and limits=: what is declared, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django import Limit, Rate
from pleme_redis_django.exceptions import InvalidJobDefinition
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.limits import DeclaredLimit, LimitsOfJob, as_limits


def by_order(order_id: str) -> str:
    return f"order:{order_id}"


def handler(order_id: str) -> None: ...


def limits_of(*limits: Limit | Rate) -> LimitsOfJob:
    return as_limits(limits, "shop.pay")


def test_limits_of_one_key_are_one_declaration() -> None:
    limits = limits_of(Limit(5, key="stripe"), Rate(100, per_seconds=60, key="stripe", burst=20))
    assert limits.declared == (
        DeclaredLimit(kind="key", name="stripe", max_running=5, rate=100, per_seconds=60.0, burst=20),
    )


def test_a_limit_without_a_key_is_that_of_the_type() -> None:
    assert limits_of(Limit(3)).declared == (DeclaredLimit(kind="type", name="shop.pay", max_running=3),)


def test_the_limit_of_a_key_function_has_the_name_of_the_job_or_its_own() -> None:
    assert limits_of(Limit(3, key=by_order)).declared[0].name == "shop.pay"
    assert limits_of(Limit(3, key=by_order, name="customer")).declared[0].name == "customer"


def test_a_key_is_stored_behind_the_name_of_its_limit_once() -> None:
    rule = limits_of(Limit(3, key=by_order, name="customer")).key
    assert rule is not None
    assert [rule.stored(value) for value in ("42", "customer:42", 42)] == ["customer:42"] * 3


def test_an_order_declares_no_limit_and_stores_its_key_as_it_is() -> None:
    limits = limits_of(Limit(1, key=by_order, in_order=True))
    assert limits.declared == () and limits.key is None
    assert limits.order is not None and limits.order.stored("order:7") == "order:7"


def test_an_order_and_a_limit_of_another_key_go_together() -> None:
    limits = limits_of(Limit(1, key=by_order, in_order=True), Limit(5, key="stripe"), Limit(9))
    assert limits.key is not None and limits.order is not None
    assert {(one.kind, one.name) for one in limits.declared} == {("key", "stripe"), ("type", "shop.pay")}


@pytest.mark.parametrize(
    ("starts", "per_seconds", "burst"), [(100, 60, 2), (50, 1, 50), (1, 1, 2), (5, 0.1, 50)]
)
def test_a_burst_is_what_fits_into_a_second_and_at_least_two(
    starts: int, per_seconds: float, burst: int
) -> None:
    assert Rate(starts, per_seconds=per_seconds).most_at_once == burst


def test_a_limit_of_zero_is_a_pause_and_a_huge_one_is_accepted() -> None:
    assert [one.max_running for one in limits_of(Limit(0), Limit(10**9, key="stripe")).declared] == [0, 10**9]


@pytest.mark.parametrize("number", [-1, 10**9 + 1, True, 1.5, "5", None, float("nan")])
def test_other_numbers_are_refused(number: Any) -> None:
    with pytest.raises(InvalidJobDefinition, match=r"max_running is .* Accepted: a whole number from 0 to"):
        Limit(number)


@pytest.mark.parametrize("number", [-1, 0, 10**7, True, 1.5, "5", None])
def test_other_rates_are_refused(number: Any) -> None:
    with pytest.raises(InvalidJobDefinition, match=r"starts is .* Accepted: a whole number from 1 to"):
        Rate(number)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "1", None])
def test_other_periods_are_refused(seconds: Any) -> None:
    with pytest.raises(InvalidJobDefinition, match=r"per_seconds is .* Accepted: a number from"):
        Rate(5, per_seconds=seconds)


@pytest.mark.parametrize("key", ["", "a:b", "x" * 101, "a\0b", "a\nb", 5, b"x", handler.__code__])
def test_other_keys_are_refused(key: Any) -> None:
    with pytest.raises(InvalidJobDefinition, match=r"Limit: key is"):
        Limit(5, key=key)


def test_an_async_key_function_is_refused() -> None:
    async def by_order(order_id: str) -> str:
        return order_id

    with pytest.raises(InvalidJobDefinition, match="key is"):
        Limit(5, key=by_order)


@pytest.mark.parametrize(
    ("limit", "fault"),
    [
        (lambda: Limit(2, key="a", in_order=True), "Accepted: 1, one job after the other"),
        (lambda: Limit(1, in_order=True), "without a key="),
        (lambda: Limit(1, key="a", in_order=True, shared=True), "of one product"),
        (lambda: Limit(1, key=by_order, in_order=True, name="a"), "stored as it is"),
        (lambda: Limit(2, cost=3), "never fits"),
        (lambda: Rate(2, burst=2, cost=3), "never gets its tokens"),
        (lambda: Limit(2, cost=0), "cost is 0"),
        (lambda: Limit(2, name="a"), "Leave name= out"),
        (lambda: Limit(2, key="a", name="a"), "Leave name= out"),
        (lambda: Limit(2, key=by_order, name="a:b"), "without a colon"),
    ],
)
def test_what_does_not_go_together_is_refused(limit: Any, fault: str) -> None:
    with pytest.raises(InvalidJobDefinition, match=fault):
        limit()


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        ([Limit(1, key="a"), Limit(2, key="b")], "stored with one"),
        ([Limit(1, key="a"), Limit(2, key="a")], "two Limits"),
        ([Rate(1, key="a"), Rate(2, key="a")], "two Rates"),
        ([Limit(1, key="a"), Rate(2, key="a", shared=True)], "differ in shared="),
        ([Limit(2, key="a", cost=2), Limit(3)], "same cost"),
        ([Limit(1, key="a", in_order=True), Limit(1, key="b", in_order=True)], "one line"),
        (5, "Accepted: a Limit, a Rate"),
        ("stripe", "Accepted: a Limit, a Rate"),
        ([5], "Accepted: a Limit, a Rate"),
    ],
)
def test_limits_that_no_job_can_have_are_refused(limits: Any, fault: str) -> None:
    with pytest.raises(InvalidJobDefinition, match=fault):
        definition_of(handler, limits=limits)


def test_the_name_of_a_job_with_a_colon_names_no_limit() -> None:
    with pytest.raises(InvalidJobDefinition, match="Give it a name"):
        definition_of(handler, name="shop:pay", limits=[Limit(1, key=by_order)])
