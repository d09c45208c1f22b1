"""How often Redis was asked while a test looked: calls by command, from ``INFO commandstats``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pleme_redis_django.redis_state.server.redis_call import redis_client

OPENING_COMMANDS = frozenset({"auth", "client", "hello", "select"})
"""What a connection says before its first command. Whether one is open already depends on the tests before."""

COUNTING_COMMANDS = frozenset({"config", "info"})
"""What the count itself sends."""


class RoundTrips:
    """The calls since the count began, without those that open a connection and those that count."""

    def __init__(self) -> None:
        self._before = _calls()

    def of(self, command: str) -> int:
        return self.by_command()[command]

    def by_command(self) -> Counter[str]:
        """Every command that was called, with how often: compare it with a dict of what is expected."""
        return _calls() - self._before


@contextmanager
def count_round_trips() -> Iterator[RoundTrips]:
    """``with count_round_trips() as calls: ...`` then ``calls.of("evalsha")``."""
    yield RoundTrips()


def _calls() -> Counter[str]:
    calls: Counter[str] = Counter()
    stats: Any = redis_client().info("commandstats")
    for name, figures in stats.items():
        command = name.removeprefix("cmdstat_").partition("|")[0]  # Redis 7 tells subcommands apart
        if command not in OPENING_COMMANDS | COUNTING_COMMANDS:
            calls[command] += int(figures["calls"])
    return calls
