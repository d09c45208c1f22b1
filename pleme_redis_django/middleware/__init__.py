"""Job middleware: what ``PLEME_REDIS["MIDDLEWARE"]`` lists, around each enqueue and each attempt; and those that ship.

Its names are resolved on first use, so that a project without encryption does not import what that needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pleme_redis_django.middleware.request import EnqueueRequest as EnqueueRequest

_MODULE_OF = {
    "EnqueueRequest": "request",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
