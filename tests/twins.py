"""Runs one test on the sync methods of an object and on their async twins (prefix ``a``)."""

from __future__ import annotations

from typing import Any


class Twin:
    """Calls ``name`` or ``aname`` of an object; ``await`` works for both."""

    def __init__(self, target: Any, *, is_async: bool) -> None:
        self._target = target
        self._is_async = is_async

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            if self._is_async:
                return await getattr(self._target, f"a{name}")(*args, **kwargs)
            return getattr(self._target, name)(*args, **kwargs)

        return call
