"""The visible effects of a change of presence, and the Django signals about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from django.dispatch import Signal

from pleme_redis_django.exceptions import PresenceRefused
from pleme_redis_django.signals import user_idle, user_offline, user_online

_REFUSALS = {
    "user limit": "The user has as many connections as one user may have",
    "scope limit": "There are as many users as there may be",
    "taken": "The connection id belongs to another user",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PresenceChange:
    """One visible change of one user."""

    kind: str
    """``online``, ``offline``, ``update`` (metadata), ``idle`` or ``active``."""
    user_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PresenceResult:
    """The visible effect of a call: none if another connection already showed the same."""

    version: int
    """The number of the scope's last event."""
    changes: tuple[PresenceChange, ...]
    removed: int = 0
    """How many connections were removed: more than changes if a user has several."""

    def __bool__(self) -> bool:
        """Whether anything became visible."""
        return bool(self.changes)


def parse_result(reply: list[Any]) -> PresenceResult:
    """Return the result that ``presence_change.lua`` replied. Raises PresenceRefused if the script refused."""
    status, version, removed, *flat = reply
    reason = status.decode()
    if reason in _REFUSALS:
        raise PresenceRefused(f"{_REFUSALS[reason]}: the connection did not join.", reason=reason)
    kinds, users = flat[0::2], flat[1::2]
    return PresenceResult(
        version=version,
        removed=removed,
        changes=tuple(
            PresenceChange(kind=kind.decode(), user_id=user.decode())
            for kind, user in zip(kinds, users, strict=True)
        ),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSignals:
    """Sends the signals of a product's visible changes; a receiver that raises is logged by Django."""

    sender: type
    product: str
    result: PresenceResult

    def run(self) -> None:
        for signal, arguments in self._signals():
            signal.send_robust(self.sender, **arguments)

    async def arun(self) -> None:
        for signal, arguments in self._signals():
            if signal.receivers:  # The sync ones run in a thread.
                await signal.asend_robust(self.sender, **arguments)

    def _signals(self) -> Iterator[tuple[Signal, dict[str, Any]]]:
        for change in self.result.changes:
            arguments: dict[str, Any] = {"product": self.product, "user_id": change.user_id}
            if change.kind == "online":
                yield user_online, arguments
            elif change.kind == "offline":
                yield user_offline, arguments
            elif change.kind in ("idle", "active"):
                yield user_idle, {**arguments, "idle": change.kind == "idle"}
