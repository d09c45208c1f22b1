"""Which of many patterns cover a channel, without trying each of them. Pure.

A tree of segments: a look-up walks the channel's own segments and the ``*`` beside them, so its cost does
not grow with the number of patterns, and nothing is compiled or forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable


class _Node:
    __slots__ = ("children", "name", "open_end")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.name: str | None = None
        """The pattern or channel that ends here."""
        self.open_end: str | None = None
        """The pattern whose last ``*`` stands for what follows here."""

    @property
    def is_empty(self) -> bool:
        return not self.children and self.name is None and self.open_end is None


class PatternTree:
    """A set of valid patterns and channels."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._root = _Node()
        for pattern in patterns:
            self.add(pattern)

    def add(self, pattern: str) -> None:
        """Add a pattern; adding one twice changes nothing."""
        *leading, last = pattern.split(":")
        node = self._root
        for segment in leading:
            node = node.children.setdefault(segment, _Node())
        if last == "*":
            node.open_end = pattern
        else:
            node.children.setdefault(last, _Node()).name = pattern

    def remove(self, pattern: str) -> None:
        """Undo ``add``."""
        *leading, last = pattern.split(":")
        path = [(self._root, "")]
        for segment in leading if last == "*" else [*leading, last]:
            child = path[-1][0].children.get(segment)
            if child is None:
                return
            path.append((child, segment))
        node, segment = path[-1]
        if last == "*":
            node.open_end = None
        else:
            node.name = None
        while len(path) > 1 and node.is_empty:
            path.pop()
            del path[-1][0].children[segment]
            node, segment = path[-1]

    def covering(self, channel: str) -> list[str]:
        found: list[str] = []
        nodes = [self._root]
        for segment in channel.split(":"):
            following: list[_Node] = []
            for node in nodes:
                if node.open_end is not None:
                    found.append(node.open_end)
                for name in (segment, "*"):
                    child = node.children.get(name)
                    if child is not None:
                        following.append(child)
            nodes = following
        found.extend(node.name for node in nodes if node.name is not None)
        return found
