"""The newest messages of a head, in memory for clients that reconnect, and the total size for all heads."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position

RECENT_MESSAGES = 256
RECENT_CHARACTERS = 1024 * 1024
BUDGET_CHARACTERS = 64 * 1024 * 1024
"""How much all feeds of an event loop may remember together."""


class RecentMessages:
    """Messages of one head without a gap, up to the last one that was passed on."""

    def __init__(self, budget: RecentBudget) -> None:
        self.is_read_back = False
        """Whether the log was asked already for what came before the first of them."""
        self._messages: deque[BusMessage] = deque()
        self._characters = 0
        self._budget = budget

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: BusMessage) -> None:
        """Remember the next message, and forget the oldest ones if there are too many."""
        self._messages.append(message)
        self._characters += len(message.frame)
        while _is_too_much(len(self._messages), self._characters):
            self._characters -= len(self._messages.popleft().frame)
        self._budget.note(self, self._characters)

    def read_back(self, messages: Sequence[BusMessage], position: Position) -> None:
        """Remember earlier messages of the log if they join without a gap; ``position`` is that of the feed."""
        self.is_read_back = True
        first = self._messages[0].offset if self._messages else position.offset + 1
        for message in reversed(messages):
            if message.epoch != position.epoch or message.offset >= first:
                continue
            characters = self._characters + len(message.frame)
            if message.offset < first - 1 or _is_too_much(len(self._messages) + 1, characters):
                break
            self._messages.appendleft(message)
            self._characters, first = characters, message.offset
        self._budget.note(self, self._characters)

    def since(self, since: Position, position: Position) -> list[BusMessage] | None:
        """Return what followed ``since``, up to the feed's ``position``; None if some of it is not known."""
        if since.epoch != position.epoch or since.offset > position.offset:
            return None
        if since == position:
            return []
        if not self._messages or self._messages[0].offset > since.offset + 1:
            return None
        return [message for message in self._messages if message.offset > since.offset]

    def forget(self) -> None:
        """Forget every message; they are still in the log."""
        self._messages.clear()
        self._characters = 0
        self.is_read_back = False
        self._budget.drop(self)


class RecentBudget:
    """Limits the memory of all feeds of an event loop; the feed that has been quiet longest forgets first."""

    def __init__(self, most_characters: int = BUDGET_CHARACTERS) -> None:
        self._most = most_characters
        self._characters = 0
        self._held: dict[RecentMessages, int] = {}

    def note(self, recent: RecentMessages, characters: int) -> None:
        """Note how much a feed remembers now; it is the last one that has changed."""
        self._characters += characters - self._held.pop(recent, 0)
        self._held[recent] = characters
        while self._characters > self._most and len(self._held) > 1:
            next(iter(self._held)).forget()

    def drop(self, recent: RecentMessages) -> None:
        """Note that a feed remembers nothing."""
        self._characters -= self._held.pop(recent, 0)


def _is_too_much(messages: int, characters: int) -> bool:
    return messages > RECENT_MESSAGES or characters > RECENT_CHARACTERS
