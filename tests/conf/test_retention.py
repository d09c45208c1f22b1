"""RETENTION: what the setting accepts, and what it says of what is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pleme_redis_django.conf import build_settings
from pleme_redis_django.conf.retention import DEFAULTS, RetentionPolicy, retention_policy
from pleme_redis_django.exceptions import InvalidSettings


def test_the_defaults() -> None:
    assert retention_policy({}) == RetentionPolicy()
    assert dict(RetentionPolicy().periods) == dict(DEFAULTS)
    assert RetentionPolicy().shortest == timedelta(days=7)


def test_seconds_and_timedeltas_say_the_same() -> None:
    assert retention_policy({"FAILED": 86_400}) == retention_policy({"FAILED": timedelta(days=1)})


def test_the_shortest_is_of_all_periods_and_of_none_where_all_is_kept() -> None:
    raw = {"QUEUES": {"mail": {"COMPLETED": 60}}, "PRODUCTS": {"lilith": {"FAILED": None}}}
    assert retention_policy(raw).shortest == timedelta(seconds=60)
    assert retention_policy(dict.fromkeys(DEFAULTS)).shortest is None


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ([], "a dict of COMPLETED, CANCELLED, FAILED"),
        ({"COMPLETE": 60}, "COMPLETED"),
        ({"RUNNING": 60}, "'RUNNING'"),
        ({"COMPLETED": 0}, "it has 0"),
        ({"COMPLETED": 59}, "it has 59"),
        ({"COMPLETED": True}, "it has True"),
        ({"COMPLETED": "7 days"}, "it has '7 days'"),
        ({"COMPLETED": float("nan")}, "it has nan"),
        ({"COMPLETED": 10**12}, "a hundred years"),
        ({"COMPLETED": timedelta(seconds=-1)}, "from a minute"),
        ({"QUEUES": ["mail"]}, 'in "QUEUES" a dict of name'),
        ({"QUEUES": {"mail": 60}}, "'mail' has 60"),
        ({"PRODUCTS": {"lilith": {"QUEUES": {}}}}, "'QUEUES'"),
        ({"PRODUCTS": {"lilith": {"FAILED": -1}}}, 'in "PRODUCTS" for \'lilith\' for "FAILED"'),
    ],
)
def test_what_is_not_accepted_is_named_with_what_is(raw: Any, named: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        build_settings({"RETENTION": raw})
    assert "Accepted: " in str(caught.value)
    assert named in str(caught.value)
