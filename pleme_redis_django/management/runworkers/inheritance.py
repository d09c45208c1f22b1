"""What a program that a handler starts must not inherit from its worker process: signals and pipes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable

_masks = threading.local()
_watched: frozenset[signal.Signals] = frozenset()


def keep_descriptors(descriptors: Iterable[int | None]) -> None:
    """Keep the pipes to the supervisor out of what handlers execute."""
    for descriptor in descriptors:
        if descriptor is not None:
            os.set_inheritable(descriptor, False)


def reset_signals_in_forked_children(watched: Iterable[signal.Signals]) -> None:
    """Give a child that a handler forks the usual answers to ``watched`` back.

    With the worker's own, ``Process.terminate()`` would do nothing: it would ask a pool that the
    child does not have to drain. A program that is executed has the usual ones anyway, because
    handlers written in Python do not survive exec (an ignored signal would).
    """
    global _watched
    first, _watched = not _watched, frozenset(watched)
    if first:
        os.register_at_fork(
            before=_hold_signals, after_in_parent=_release_signals, after_in_child=_reset_and_release
        )


def _hold_signals() -> None:
    # One that comes between the fork and the reset has to wait, or Python forgets it in the child.
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _watched)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _reset_and_release() -> None:
    for number in _watched:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    _release_signals()
