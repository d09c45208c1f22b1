"""Which guard a ``with`` block gives back, when one Acquisition is entered more than once."""

from __future__ import annotations

from typing import Generic, TypeVar

G = TypeVar("G")


class EnteredGuards(Generic[G]):
    """The guards of the blocks that are open now: a stack for each context, a thread or a task."""

    __slots__ = ("_stacks",)

    def __init__(self) -> None:
        self._stacks: dict[object, list[G]] = {}

    def push(self, context: object, guard: G) -> None:
        """Note that ``context`` has entered a block, inside those that it has open."""
        self._stacks.setdefault(context, []).append(guard)

    def pop(self, context: object, name: object) -> G:
        """Return the guard of the innermost block of ``context``, and forget it.

        A generator's or a fixture's block may be left by a context that did not enter it. The guard is found if
        only one context has blocks open. Raises RuntimeError if there are several.
        """
        entered_in = context if context in self._stacks else self._only_context(name)
        stack = self._stacks[entered_in]
        guard = stack.pop()
        if not stack:
            del self._stacks[entered_in]
        return guard

    def _only_context(self, name: object) -> object:
        contexts = list(self._stacks)
        if len(contexts) == 1:
            return contexts[0]
        raise RuntimeError(
            f"A block of the lock {str(name)[:80]!r} was left by a thread or task that had not entered it, and "
            f"{len(contexts)} others are inside, so it is unknown which one to release; it expires by itself. "
            "Make a lock() for each block, or keep the guard of acquire() (await aacquire()) and release that."
        )
