"""The clock of sockets in tests: it runs normally, and jumps ahead when a test says so."""

from __future__ import annotations

import time

from pleme_redis_django.realtime.hub import Hub, hub


class PassingClock:
    """A clock to call for seconds, which never go back; ``advance()`` adds some."""

    def __init__(self) -> None:
        self._added = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._added

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self._added += seconds


def hub_of_tests() -> Hub:
    """Return the running event loop's hub, whose time a test can let pass when nobody asked for it before."""
    return hub(PassingClock())


def let_sockets_grow_older(seconds: float) -> None:
    """Let the time of the running event loop's sockets pass.

    Raises RuntimeError when there are sockets that an application opened by itself, which live by the machine's time.
    """
    its_hub = hub_of_tests()
    if isinstance(its_hub.clock, PassingClock):
        its_hub.clock.advance(seconds)
    elif its_hub.connections:
        raise RuntimeError(
            f"{len(its_hub.connections)} open sockets of this event loop live by the machine's time. Open them with "
            "connected_client(), or call let_time_pass(0) before the first."
        )
