"""Whether a client is still there, by the clock."""

from __future__ import annotations

from pleme_redis_django.realtime.pulse import Pulse
from pleme_redis_django.testing import ManualClock


def test_silence_is_followed_by_a_ping_and_a_ping_by_an_answer() -> None:
    clock = ManualClock()
    pulse = Pulse(clock)
    clock.advance(25)
    assert not pulse.is_due(clock(), 25)
    clock.advance(1)
    assert pulse.is_due(clock(), 25)
    pulse.pinged()
    assert not pulse.is_due(clock(), 25)
    clock.advance(8)
    assert not pulse.is_lost(clock(), 8)
    clock.advance(1)
    assert pulse.is_lost(clock(), 8)


def test_whoever_is_heard_begins_anew() -> None:
    clock = ManualClock()
    pulse = Pulse(clock)
    clock.advance(26)
    pulse.pinged()
    pulse.unheard = 7
    pulse.heard()
    clock.advance(20)
    assert (pulse.pinged_at, pulse.unheard) == (None, 0)
    assert not pulse.is_due(clock(), 25)
    assert not pulse.is_lost(clock(), 8)
