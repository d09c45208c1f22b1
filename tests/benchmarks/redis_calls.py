"""What clients ask of a Redis meanwhile, as its MONITOR tells: no commands of scripts, none that open connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from tests.round_trips import OPENING_COMMANDS

LAST = "ECHO the-count-ends"


class RedisCalls:
    """Calls that come with messages, and those that come with time: the sweep of presence and pings."""

    def __init__(self) -> None:
        self.with_messages = self.with_time = 0
        self.seconds = 0.0

    def read(self, monitor: Any) -> None:
        """Count until the last call."""
        begin = time.monotonic()
        while (call := monitor.next_command())["command"] != LAST:
            name = call["command"].partition(" ")[0].lower()
            if call["client_type"] != "lua" and name not in OPENING_COMMANDS:
                is_timed = ":presence:" in call["command"] or name == "ping"
                self.with_time += is_timed
                self.with_messages += not is_timed
        self.seconds = time.monotonic() - begin


@contextmanager
def count_calls(redis_url: str) -> Iterator[RedisCalls]:
    """Count what is called inside the block; read the figures after it."""
    with redis.Redis.from_url(redis_url) as client, client.monitor() as monitor:
        calls = RedisCalls()
        reader = threading.Thread(target=calls.read, args=(monitor,))
        reader.start()
        try:
            yield calls
        finally:
            client.execute_command(*LAST.split())
            reader.join()
