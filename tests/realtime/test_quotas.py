"""What clients may ask for in a second: each connection, and all of a user's together."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pleme_redis_django.realtime.limits import ClientLimits
from pleme_redis_django.realtime.quotas import Quota, UserQuotas
from pleme_redis_django.testing import ManualClock

LIMITS = ClientLimits(commands_per_second=2, user_commands_per_second=3, refusals=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    product: str
    user_id: str | None
    quota: Quota
    limits: ClientLimits = LIMITS


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def quotas(clock: ManualClock) -> UserQuotas:
    return UserQuotas(clock)


def client(clock: ManualClock, user_id: str | None = "1", product: str = "acme") -> Client:
    return Client(product=product, user_id=user_id, quota=Quota(LIMITS, clock))


def taken(quotas: UserQuotas, payer: Client) -> int:
    return sum(quotas.take(payer) for _ in range(20))


def test_connections_of_a_user_share_what_is_theirs(clock: ManualClock, quotas: UserQuotas) -> None:
    assert [taken(quotas, client(clock)) for _ in range(3)] == [4, 2, 0]
    assert taken(quotas, client(clock, "2")) == 4
    assert taken(quotas, client(clock, product="other")) == 4


def test_the_anonymous_share_nothing(clock: ManualClock, quotas: UserQuotas) -> None:
    assert [taken(quotas, client(clock, None)) for _ in range(3)] == [4, 4, 4]
    assert len(quotas._allowances) == 0


def test_what_a_command_caused_is_paid_by_both(clock: ManualClock, quotas: UserQuotas) -> None:
    first, second = client(clock), client(clock)
    quotas.charge(first, 100)
    assert [taken(quotas, each) for each in (first, second)] == [0, 0]
    clock.advance(4)
    assert taken(quotas, second) == 4


def test_only_who_asked_for_nothing_for_long_is_forgotten(clock: ManualClock, quotas: UserQuotas) -> None:
    quotas.clean(clock())
    taken(quotas, client(clock, "1"))
    clock.advance(61)
    taken(quotas, client(clock, "2"))
    quotas.clean(clock())
    assert len(quotas._allowances) == 1
    assert taken(quotas, client(clock, "2")) == 2


def test_refusals_are_forgotten_in_ten_minutes(clock: ManualClock) -> None:
    refusals = Quota(LIMITS, clock).refusals
    assert [refusals.take() for _ in range(3)] == [True, True, False]
    clock.advance(301)
    assert [refusals.take() for _ in range(2)] == [True, False]
