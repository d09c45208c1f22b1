"""Which values a setting accepts, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.conf import accepted

INFINITE = float("inf")


@pytest.mark.parametrize(
    ("check", "values"),
    [
        (accepted.texts, [[], ["a"], ("a", "b")]),
        (accepted.boolean, [True, False]),
        (accepted.text, ["a"]),
        (accepted.optional_text, ["a", None]),
        (
            accepted.redis_url,
            [None, "redis://h/1?db=2", "rediss://h?ssl_cert_reqs=none", "unix:///tmp/r.sock"],
        ),
        (accepted.optional_product, [None, "acme"]),
        (accepted.named_mappings, [{}, {"a": {}}]),
        (accepted.waits, [{}, {"*": 1, "mails": 0.5}]),
        (accepted.weights, [{}, {"acme": 1, "shop-2": 0.01, "big": 1_000.0}]),
        (accepted.mapping, [{}, {1: 2}]),
    ],
)
def test_what_is_accepted(check: accepted.Check, values: list[Any]) -> None:
    assert [value for value in values if accepted.objection(check, value) is not None] == []


@pytest.mark.parametrize(
    ("check", "values"),
    [
        (accepted.texts, ["ab", [""], [1], None, {"a": 1}]),
        (accepted.boolean, [0, 1, "True", None]),
        (
            accepted.weights,
            [[], {"acme": 0}, {"acme": 1_001}, {"acme": True}, {"Acme": 1}, {"a": INFINITE}, {"a": "1"}],
        ),
        (accepted.text, ["", None, b"a"]),
        (accepted.optional_text, ["", 1]),
        (
            accepted.redis_url,
            ["", "http://h", b"redis://h", "redis://h?protocol=3", "redis://h?decode_responses="],
        ),
        (accepted.optional_product, ["", "No such!", 1]),
        (accepted.named_mappings, [[], {"a": 1}, {1: {}}]),
        (
            accepted.waits,
            [[], {"a": 0}, {"a": -1}, {"a": True}, {"a": INFINITE}, {"a": float("nan")}, {1: 1}],
        ),
        (accepted.mapping, [None, [], "a"]),
    ],
)
def test_what_is_not_accepted_is_answered_with_what_is(check: accepted.Check, values: list[Any]) -> None:
    assert [value for value in values if not accepted.objection(check, value)] == []


def test_a_refused_url_does_not_show_its_password() -> None:
    said = accepted.redis_url("redis://app:secret@h?protocol=3")
    assert said is not None and "protocol" in said and "secret" not in said
