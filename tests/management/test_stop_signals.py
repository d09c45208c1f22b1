"""The signals of a supervisor: each is taken once, wakes the selector, and leaves a program its own handlers."""

from __future__ import annotations

import os
import selectors
import signal
import threading

from pleme_redis_django.management.runworkers.stop_signals import StopSignals


def test_each_signal_is_taken_once_and_the_end_of_a_child_is_none() -> None:
    signals, selector = StopSignals(), selectors.DefaultSelector()
    before = signal.getsignal(signal.SIGTERM)
    with selector, signals.listening(selector) as wake_fd:
        os.kill(os.getpid(), signal.SIGTERM)
        assert [key.fd for key, _events in selector.select(10)] == [wake_fd]
        os.read(wake_fd, 4096)
        assert signals.take() == 1
        assert signals.take() == 0
        os.kill(os.getpid(), signal.SIGCHLD)
        assert [key.fd for key, _events in selector.select(10)] == [wake_fd], "it wakes, so that it is reaped"
        assert signals.take() == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_signals_that_came_together_are_taken_together() -> None:
    signals = StopSignals()
    signals.note()
    signals.note()
    assert signals.take() == 2


def test_program_that_ignores_sighup_goes_on_to_ignore_it() -> None:
    signals, selector = StopSignals(), selectors.DefaultSelector()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with selector, signals.listening(selector):
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.take() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_was_held_back_until_somebody_listens_is_taken() -> None:
    """As one that comes while the supervisor takes the place of the command."""
    signals, selector = StopSignals(), selectors.DefaultSelector()
    mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        # To this thread: others of the process that runs the tests do not hold it back.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        with selector, signals.listening(selector) as wake_fd:
            assert [key.fd for key, _events in selector.select(10)] == [wake_fd]
            assert signals.take() == 1
        assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, []), "the program had it so"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask_before)
