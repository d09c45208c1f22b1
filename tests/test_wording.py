from __future__ import annotations

from pleme_redis_django.wording import did_you_mean, shortened


def test_the_nearest_known_name_is_named() -> None:
    assert did_you_mean("emial", ["email", "default"], otherwise="None.") == "Did you mean email?"
    assert did_you_mean("x", ["email", "default"], otherwise="Known: two.") == "Known: two."


def test_a_long_text_is_cut_and_a_short_one_is_whole() -> None:
    assert shortened("x" * 60) == "x" * 60
    assert shortened("x" * 61) == "x" * 57 + "..."
    assert shortened("abcdef", characters=5) == "ab..."
