"""What an order says."""

from __future__ import annotations

import json

from pleme_redis_django.realtime.control import (
    Control,
    parse_control,
    session_digest,
)


def test_orders_of_another_release_are_understood_or_left() -> None:
    order = {"operation": "close", "user_id": "7", "of_the_future": 1}
    assert parse_control(json.dumps(order)) == Control(operation="close", user_id="7")
    for text in ('{"operation": "dance"}', "[]", "{}", "nonsense", '{"operation": "close", "code": 7}'):
        assert parse_control(text) is None


def test_order_means_user_product_and_session_that_it_names() -> None:
    assert Control(operation="close").concerns(None, "acme", None)
    order = Control(operation="close", user_id="7", product="acme", session=session_digest("s"))
    assert order.concerns("7", "acme", "s")
    for other in (
        ("8", "acme", "s"),
        (None, "acme", "s"),
        ("7", "beta", "s"),
        ("7", "acme", "t"),
        ("7", "acme", None),
    ):
        assert not order.concerns(*other)
