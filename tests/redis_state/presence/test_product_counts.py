"""How many users and connections are online in each product."""

from __future__ import annotations

from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.presence.product_counts import (
    OnlineCount,
    online_counts,
    products_with_presence,
)
from tests.redis_state.presence.test_sweep import expire

NOBODY = OnlineCount(users=0, connections=0)


def test_users_and_their_connections_are_counted_for_each_product_in_order() -> None:
    for user, connection in ((1, "a"), (1, "b"), (2, "c")):
        PresenceManager("counted").set_online(user, connection)
    PresenceManager("counted-too").set_online(1, "a")
    assert online_counts(["counted-too", "nobody-here", "counted"]) == [
        OnlineCount(users=1, connections=1),
        NOBODY,
        OnlineCount(users=2, connections=3),
    ]
    assert {"counted", "counted-too"} <= set(products_with_presence())


def test_whoever_has_expired_is_not_counted_though_nobody_has_swept() -> None:
    PresenceManager("forgotten").set_online(1, "a")
    expire("forgotten")
    assert online_counts(["forgotten"]) == [NOBODY]


def test_no_product_is_no_round_trip() -> None:
    assert online_counts([]) == []
