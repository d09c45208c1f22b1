"""EnqueueRequest: what middleware may change of an enqueue, and what makes two of them equal."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.exceptions import BrokenMiddleware, InvalidParameters
from pleme_redis_django.middleware.request import CHANGEABLE, EnqueueRequest


def a_request(**values: Any) -> EnqueueRequest:
    given: dict[str, Any] = {
        "job_type": "shop.charge",
        "parameters": {"card": "4111", "amount": 5},
        "metadata": {"order": 7},
        "product": "acme",
        "queue_name": "default",
        "priority": 0,
        "run_after": None,
        "max_retries": 3,
        "unique_key": None,
        "is_unique": True,
    }
    return EnqueueRequest(**given | values)


def test_a_change_returns_another_request() -> None:
    before = a_request()
    after = before.replace(queue_name="mail", priority=5)
    assert (after.queue_name, after.priority, after.parameters) == ("mail", 5, before.parameters)
    assert (before.queue_name, before.priority) == ("default", 0)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("job_type", "Accepted: parameters"),
        ("is_unique", ""),
        ("sealed", ""),
        ("queue", "Did you mean queue_name"),
    ],
)
def test_what_cannot_be_changed_is_refused_with_what_can(name: str, hint: str) -> None:
    with pytest.raises(BrokenMiddleware, match=rf"replace\({name}=\.\.\.\).*cannot be changed") as refused:
        a_request().replace(**{name: "x"})
    assert hint in str(refused.value)
    assert name not in CHANGEABLE


def test_metadata_are_added_beside_the_others() -> None:
    assert a_request().with_metadata(tenant="a", order=8).metadata == {"order": 8, "tenant": "a"}


def test_equal_parameters_are_one_text_unless_there_is_a_key() -> None:
    turned = a_request(parameters={"amount": 5, "card": "4111"})
    assert a_request().key_text() == turned.key_text() == '{"amount":5,"card":"4111"}'
    assert a_request(unique_key="order 7").key_text() == "order 7"


@pytest.mark.parametrize("parameters", [{"card": {1}}, {"card": float("nan")}, {"card": "x" * 300_000}])
def test_parameters_that_json_does_not_keep_have_no_text(parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters, match=r"The parameters of shop\.charge are refused"):
        a_request(parameters=parameters).key_text()


def test_a_seal_remembers_what_it_covers() -> None:
    sealed = a_request().seal({"$encrypted": {}}).sealed
    assert sealed is not None
    assert (sealed.parameters, sealed.stored) == ({"card": "4111", "amount": 5}, {"$encrypted": {}})
