from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pleme_redis_django.redis_state.names import covers
from pleme_redis_django.redis_state.pubsub.pattern_tree import PatternTree

SEGMENTS = st.sampled_from(["a", "b", "c"])
CHANNELS = st.lists(SEGMENTS, min_size=1, max_size=4).map(":".join)
PATTERNS = st.tuples(SEGMENTS, st.lists(SEGMENTS | st.just("*"), max_size=3)).map(
    lambda parts: ":".join([parts[0], *parts[1]])
)


@given(st.sets(PATTERNS, max_size=12), st.sets(PATTERNS, max_size=12), CHANNELS)
def test_finds_what_each_pattern_says_for_itself(added: set[str], removed: set[str], channel: str) -> None:
    tree = PatternTree(added)
    for pattern in removed:
        tree.remove(pattern)
    expected = sorted(pattern for pattern in added - removed if covers(pattern, channel))
    assert sorted(tree.covering(channel)) == expected


@given(st.sets(PATTERNS, max_size=12))
def test_keeps_nothing_of_what_was_removed(patterns: set[str]) -> None:
    tree = PatternTree(patterns)
    for pattern in patterns:
        tree.remove(pattern)
    assert tree._root.is_empty
