"""What PostgreSQL and Redis have in common here: start, wait until ready, stop, restart, clean up."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from pleme_redis_django.exceptions import ServerUnavailable
from pleme_redis_django.testing.servers.account import Account, make_scratch_folder
from pleme_redis_django.testing.servers.guarded_process import GuardedProcess

START_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.01


class ManagedServer(ABC):
    """One server of our own, in a scratch folder that is removed when it stops.

    ``start()`` and ``stop()`` may each be called twice. A server keeps its address, and PostgreSQL
    its data, across ``restart()``. With ``tcp`` it also listens on a free loopback port.
    """

    title: str
    stop_signal: signal.Signals

    def __init__(self, *, tcp: bool = False) -> None:
        self.tcp = tcp
        self.port: int | None = None
        self._account = Account()
        self._scratch: Path | None = None
        self._process: GuardedProcess | None = None
        self._owner = os.getpid()

    @property
    def folder(self) -> Path:
        """The scratch folder, which also holds the unix socket; raises RuntimeError when stopped."""
        if self._scratch is None:
            raise RuntimeError(f"{self.title} has not been started, or has been stopped. Call start() first.")
        return self._scratch

    @property
    def pid(self) -> int:
        """The server's process id, for reading; send signals with ``send_signal()``."""
        if self._process is None:
            raise RuntimeError(f"{self.title} is not running.")
        return self._process.pid

    def start(self) -> Self:
        """Start the server and return when it answers; raises ServerUnavailable when it cannot."""
        if self.is_running():
            return self
        self._owner = os.getpid()
        if self._scratch is None:
            self._scratch = make_scratch_folder(self._account)
            atexit.register(self.stop)
        try:
            self._prepare()
            self._launch()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the server and remove its scratch folder; does nothing in a forked child."""
        if self._owner != os.getpid():
            return
        self.halt()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
            atexit.unregister(self.stop)

    def halt(self, signum: signal.Signals | None = None) -> None:
        """End the server with ``signum`` (None: an orderly stop) but keep its folder for the next start."""
        if self._process is not None:
            self._process.stop(self.stop_signal if signum is None else signum)
            self._process = None

    def restart(self, signum: signal.Signals | None = None) -> None:
        """Halt the server with ``signum`` and start it again on the same address."""
        self.halt(signum)
        self.start()

    def is_running(self) -> bool:
        return self._process is not None and self._process.is_running()

    def send_signal(self, signum: signal.Signals) -> None:
        """Send ``signum`` to the server: SIGSTOP and SIGCONT make it hang and go on.

        It has the signal when this returns: nothing that is asked of it from then on is answered before a SIGCONT.
        """
        if self._process is not None:
            self._process.send_signal(signum)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        if self.tcp and self.port is None:
            self.port = free_port()
        process = self._process = GuardedProcess(
            self._command(),
            log=self.folder / "server.log",
            scratch=self.folder,
            stop_signal=self.stop_signal,
            account=self._account,
        )
        self._wait_until(self._answers, process)

    def _wait_until(self, ready: Callable[[], bool], process: GuardedProcess) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not ready():
            if not process.is_running():
                raise ServerUnavailable(f"{self.title} ended while it started. {process.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerUnavailable(
                    f"{self.title} did not answer within {START_TIMEOUT_SECONDS:.0f} s. {process.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def _prepare(self) -> None:  # noqa: B027 - a hook: not every server needs it
        """Make what the server needs in its folder; called before every start."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the program with its arguments."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server takes requests."""


def free_port() -> int:
    """Return a loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
