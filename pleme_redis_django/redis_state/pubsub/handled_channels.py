"""Redis channels that are not a head's bus: their handlers, and who is told about each (re)subscription."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator

ControlHandler = Callable[[bytes], None]

logger = logging.getLogger("pleme_redis_django.bus")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Handler:
    take: ControlHandler
    on_confirmed: Callable[[], None] | None


class HandledChannels:
    """The handlers of each channel. What they raise is logged: otherwise it would end the connection of all."""

    def __init__(self) -> None:
        self._handlers: dict[bytes, list[_Handler]] = {}
        self._confirmed: set[bytes] = set()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._handlers)

    def __len__(self) -> int:
        return len(self._handlers)

    def add(self, name: bytes, take: ControlHandler, on_confirmed: Callable[[], None] | None) -> bool:
        """Add a handler; return whether it is the first one, so that the channel has to be subscribed to."""
        handlers = self._handlers.setdefault(name, [])
        handlers.append(_Handler(take=take, on_confirmed=on_confirmed))
        if len(handlers) > 1 and on_confirmed is not None and name in self._confirmed:
            on_confirmed()
        return len(handlers) == 1

    def remove(self, name: bytes, take: ControlHandler) -> bool:
        """Remove a handler; return whether it was the last one of its channel."""
        handlers = self._handlers.get(name, [])
        handlers[:] = [each for each in handlers if each.take != take]
        if handlers or self._handlers.pop(name, None) is None:
            return False
        self._confirmed.discard(name)
        return True

    def clear(self) -> None:
        """Remove every handler."""
        self._handlers.clear()

    def hand_on(self, name: bytes, raw: bytes) -> None:
        """Give a message to the handlers of its channel."""
        for handler in self._handlers.get(name, ()):
            _guarded(handler.take, raw)

    def confirm(self, name: bytes) -> None:
        """Note that Redis has confirmed a channel, and wake those that wait for it."""
        if name in self._handlers:
            self._confirmed.add(name)
            for handler in list(self._handlers[name]):
                if handler.on_confirmed is not None:
                    _guarded(handler.on_confirmed)

    def note_lost_connection(self) -> None:
        """Note that nothing is received until the channels are confirmed again."""
        self._confirmed.clear()


def _guarded(handler: Callable[..., None], *arguments: object) -> None:
    try:
        handler(*arguments)
    except Exception:
        logger.exception("A handler of the realtime connection failed.")
