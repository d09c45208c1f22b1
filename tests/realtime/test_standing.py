"""Which look at a socket's user and session counts."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.realtime.standing import Standing
from tests.realtime.conftest import Person


def test_the_look_that_began_last_counts(ana: Person) -> None:
    standing = Standing({"user": ana}, "1")
    first, second = standing.begin_look(), standing.begin_look()
    assert (standing.is_newest(first), standing.is_newest(second)) == (False, True)


def test_rules_are_asked_about_what_was_loaded_last(ana: Person, ben: Person) -> None:
    session: Any = {"cart": [1]}
    standing = Standing({"user": ana, "session": None}, "1")
    standing.become(ben, session)
    assert (standing.user, standing.scope["session"], standing.judged) == (ben, session, 1)
    standing.become(ana, None)
    assert standing.scope["session"] == session
