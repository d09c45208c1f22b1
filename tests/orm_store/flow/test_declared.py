"""What code and settings declare of limits: what is accepted, and when it is worked out again."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django import Limit, Rate
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.models import Job, LimitKind
from pleme_redis_django.orm_store.flow.declared import DeclaredLimits, limits_of_settings
from tests.enqueueing.jobs import send


def test_settings_name_limits_of_keys_types_queues_and_products() -> None:
    raw = {
        "QUEUES": {"mail": Limit(10)},
        "PRODUCTS": {"lilith": [Limit(3), Rate(5)]},
        "TYPES": {"shop.jobs.pay": Rate(100, per_seconds=60, shared=True)},
        "KEYS": {"stripe": Limit(0)},
    }
    assert {name: (one.max_running, one.rate, one.shared) for name, one in limits_of_settings(raw)} == {
        (LimitKind.QUEUE, "mail"): (10, None, False),
        (LimitKind.PRODUCT, "lilith"): (3, 5, False),
        (LimitKind.TYPE, "shop.jobs.pay"): (None, 100, True),
        (LimitKind.KEY, "stripe"): (0, None, False),
    }


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ([], "Accepted: a dict with"),
        ({"QUEUE": {}}, "unknown key 'QUEUE'. Did you mean QUEUES"),
        ({"QUEUES": []}, "Accepted: a dict with"),
        ({"QUEUES": {"mail": 10}}, "Accepted: a Limit, a Rate"),
        ({"QUEUES": {"mail": []}}, "Accepted: a Limit, a Rate"),
        ({"QUEUES": {5: Limit(1)}}, "accepted as a name"),
        ({"QUEUES": {"a\0": Limit(1)}}, "accepted as a name"),
        ({"KEYS": {"customer:42": Limit(1)}}, "before the first colon"),
        ({"KEYS": {"stripe": Limit(1, key="stripe")}}, "said in @job"),
        ({"KEYS": {"stripe": [Limit(1), Limit(2)]}}, "two Limits"),
    ],
)
def test_other_settings_are_refused(raw: Any, fault: str) -> None:
    with pytest.raises(InvalidSettings, match=fault):
        limits_of_settings(raw)


def test_declarations_are_the_same_until_a_job_is_added() -> None:
    declared = DeclaredLimits(Job)
    before = declared.current()
    assert declared.current() is before
    registry.add(registry.get(send.name))
    assert declared.current() is not before
    assert declared.current() == before


def test_the_types_of_this_process_are_known() -> None:
    known = DeclaredLimits(Job).known_types()
    assert send.name in known and "tests.of_another_service" not in known
