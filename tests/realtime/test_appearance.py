"""How a connection is shown to others."""

from __future__ import annotations

from pleme_redis_django.realtime.appearance import Appearance
from pleme_redis_django.testing import ManualClock


def test_idle_is_shown_once_a_second_and_never_twice() -> None:
    clock, appearance = ManualClock(), Appearance()
    assert not appearance.begin_settling(clock())
    appearance.wants_idle = True
    assert appearance.begin_settling(clock())
    clock.advance(0.5)
    assert not appearance.begin_settling(clock())
    clock.advance(0.5)
    assert appearance.begin_settling(clock()), "what failed is done again"
    appearance.is_idle = True
    clock.advance(5)
    assert not appearance.begin_settling(clock())


def test_what_is_said_in_a_room_is_unsaid_by_none() -> None:
    appearance = Appearance()
    appearance.say("room:1", {"name": "Ana"})
    appearance.say("room:2", None)
    assert appearance.metadata == {"room:1": {"name": "Ana"}}
    appearance.say("room:1", None)
    assert appearance.metadata == {}
