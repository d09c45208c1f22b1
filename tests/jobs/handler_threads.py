"""Threads that run handlers as a lane does, for whoever interrupts them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pleme_redis_django.exceptions import JobTimeout
from pleme_redis_django.interruption import give_back_all
from pleme_redis_django.jobs.worker.interrupts import Interruptible


class HandlerThread:
    """A thread that runs handlers as a lane does, and tells what came out of each."""

    def __init__(self, *handlers: Callable[[], Any]) -> None:
        self.interruptible = Interruptible()
        self.outcomes: list[Any] = []
        self.interrupted: list[bool] = []
        self.begun = [threading.Event() for _ in handlers]
        self._handlers = handlers
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def join(self) -> list[Any]:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.outcomes

    def interrupt(self, number: int, kind: type[BaseException] = JobTimeout) -> bool:
        assert self.begun[number].wait(20)
        return self.interruptible.interrupt(self.begun[number], kind)

    def _work(self) -> None:
        self.interruptible.bind()
        for number, handler in enumerate(self._handlers):
            self.outcomes.append(self._run(number, handler))
            self.interrupted.append(self.interruptible.was_interrupted)

    def _run(self, number: int, handler: Callable[[], Any]) -> Any:
        try:
            try:
                self.interruptible.enter(self.begun[number])
                self.begun[number].set()
                value = handler()
                self.interruptible.leave()
                return value
            except BaseException as error:
                self.interruptible.leave()
                return type(error)
        except BaseException as error:
            self.interruptible.leave()
            return type(error)
        finally:
            give_back_all(self.interruptible.left_open, interrupted=self.interruptible.was_interrupted)
