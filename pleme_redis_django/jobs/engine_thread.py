"""EngineThread: a thread of the engine whose end by an error is told to its pool, which cannot do without it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

OnBroken = Callable[[str, BaseException], None]
"""Called with the name of the thread and what ended it, in that thread."""


def tell_nobody(name: str, error: BaseException) -> None:
    """Let whoever started the thread by itself find out."""


class EngineThread(threading.Thread):
    """A daemon thread that ends only when it is told to; whatever else ends it goes to ``on_broken``."""

    def __init__(
        self, target: Callable[..., object], name: str, on_broken: OnBroken, *, args: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(target=target, name=name, args=args, daemon=True)
        self._on_broken = on_broken

    def run(self) -> None:
        try:
            super().run()
        except BaseException as error:
            self._on_broken(self.name, error)
